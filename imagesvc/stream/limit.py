"""A reader that counts, and stops at the first byte too many or too few."""

from typing import Protocol

from imagesvc import errors


class Reader(Protocol):
    """Whatever gives bytes: a request body, a file, a stored object."""

    def read(self, size: int, /) -> bytes:
        """Give at most `size` bytes; none at the end."""
        ...


class LimitedReader:
    """Reads `source` up to `cap_bytes`, and exactly `expected_bytes` if that is known.

    Raises TooLarge above the cap, at once if the expected length is above it already;
    InvalidRequest when the length is not the expected one. One thread.
    """

    def __init__(
        self,
        source: Reader,
        *,
        cap_bytes: int | None = None,
        expected_bytes: int | None = None,
    ) -> None:
        self._source = source
        self._cap = cap_bytes
        self._expected = expected_bytes
        self.count = 0
        self._check_cap(expected_bytes or 0)

    def read(self, size: int, /) -> bytes:
        """Give at most `size` bytes; none at the end, which is then the right one."""
        data = self._source.read(size)
        self.count += len(data)
        self._check_cap(self.count)
        if self._expected is not None:
            ended_early = size > 0 and not data and self.count < self._expected
            if ended_early or self.count > self._expected:
                raise errors.InvalidRequest(
                    "The image has {relation} bytes than the {expected} that were announced.",
                    reason=errors.Reason.SIZE_MISMATCH,
                    relation="fewer" if ended_early else "more",
                    expected=self._expected,
                )
        return data

    def _check_cap(self, count: int) -> None:
        if self._cap is not None and count > self._cap:
            raise errors.TooLarge(
                what="The image", limit=self._cap, unit="bytes", reason=errors.Reason.SIZE_CAP
            )
