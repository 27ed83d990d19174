"""The body of one request that sends bytes of a resumable upload."""

import hashlib
import hmac
from collections.abc import Callable

from imagesvc import errors
from imagesvc.domain.upload import Checksum, Upload
from imagesvc.errors import Reason
from imagesvc.stream import limit

# Little enough that a client of 4 KiB/s is seen alive within 20 s.
_PIECE_BYTES = 64 << 10
_BROKEN = frozenset({Reason.CLIENT_GONE, Reason.CLIENT_SLOW})


class Body:
    """Gives what comes, and takes a connection that breaks for the end, to be told later.

    `beat` is called with each piece. Raises InvalidRequest (SIZE_MISMATCH) or TooLarge for more
    bytes than the upload may have, and what `beat` raises.
    """

    def __init__(
        self,
        reader: limit.Reader,
        upload: Upload,
        *,
        cap_bytes: int,
        announced: int | None,
        checksum: Checksum | None,
        beat: Callable[[], None],
    ) -> None:
        self._reader = reader
        self._size = upload.size_bytes
        self._room = (cap_bytes if self._size is None else self._size) - upload.offset_bytes
        self._announced = announced
        self._hash = hashlib.new(checksum.algorithm, usedforsecurity=False) if checksum else None
        self._expected = checksum.value if checksum else b""
        self._beat = beat
        self._failure: errors.InvalidRequest | None = None
        self._ended = False
        self._count = 0

    @property
    def is_provable(self) -> bool:
        """Whether the bytes count only once all of them were proved by their checksum."""
        return self._hash is not None

    def read(self, size: int, /) -> bytes:
        """Give at most `size` bytes; none at the end, or where the connection broke."""
        if self._ended or size == 0:
            return b""
        data = self._take(min(size, _PIECE_BYTES, self._room - self._count + 1))
        self._ended = not data
        self._count += len(data)
        if self._count > self._room:
            raise self._too_many()
        if self._hash is not None:
            self._hash.update(data)
        if data:
            self._beat()
        return data

    def _take(self, size: int) -> bytes:
        try:
            return self._reader.read(size)
        except errors.InvalidRequest as exc:  # what came before it is good, and is kept first
            if exc.reason not in _BROKEN:
                raise
            self._failure = exc
            return b""

    def _too_many(self) -> errors.ImagesvcError:
        if self._size is None:
            return errors.TooLarge(
                what="The image", limit=self._room, unit="bytes", reason=Reason.SIZE_CAP
            )
        return errors.InvalidRequest(
            "More bytes came than the {size} that were announced.",
            size=self._size,
            reason=Reason.SIZE_MISMATCH,
        )

    def prove(self) -> None:
        """Raise InvalidRequest (CHECKSUM) unless the bytes have the digest that came with them."""
        if self._hash is None:
            return
        self.require_whole()
        if not hmac.compare_digest(self._hash.digest(), self._expected):
            raise errors.InvalidRequest(
                "The bytes do not have the digest in Upload-Checksum.", reason=Reason.CHECKSUM
            )

    def require_whole(self) -> None:
        """Raise InvalidRequest (CLIENT_GONE, CLIENT_SLOW) if the connection broke."""
        if self._failure is not None:
            raise self._failure
        if self._announced is not None and self._count < self._announced:
            raise errors.InvalidRequest("The request body broke off.", reason=Reason.CLIENT_GONE)
