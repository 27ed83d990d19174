"""Several stored objects read as one."""

from collections.abc import Callable, Iterable
from types import TracebackType
from typing import BinaryIO

from imagesvc.interface.errors import IntegrityError
from imagesvc.interface.storage import StorageDriver

Piece = tuple[int, Callable[[], BinaryIO]]  # bytes that it has, and what opens it


def opener(driver: StorageDriver, key: str) -> Callable[[], BinaryIO]:
    """What opens the object of that key."""
    return lambda: driver.open_read(key)


class JoinedReader:
    """Gives the `size` bytes of the pieces one after the other, each opened when its turn comes.

    A context manager. Raises IntegrityError for a piece of another length, and what opening
    and reading raise. One thread.
    """

    def __init__(self, pieces: Iterable[Piece]) -> None:
        wanted = tuple(pieces)
        self.size: int | None = sum(length for length, _ in wanted)
        self._pieces = iter(wanted)
        self._source: BinaryIO | None = None
        self._left = 0

    def read(self, size: int, /) -> bytes:
        """Give at most `size` bytes; none at the end."""
        while self._source is None or self._left == 0:
            self._require_end()
            following = next(self._pieces, None)
            if following is None:
                return b""
            self._left, open_piece = following
            self._source = open_piece()
        data = self._source.read(min(size, self._left))
        if not data and size > 0:
            raise _other_length(f"{self._left} bytes are missing at the end of a part")
        self._left -= len(data)
        return data

    def _require_end(self) -> None:
        """What was read to the length that its row says must end there."""
        source, self._source = self._source, None
        if source is not None:
            with source:
                if source.read(1):
                    raise _other_length("a part is longer than its row says")

    def __enter__(self) -> "JoinedReader":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._source is not None:
            self._source.close()
            self._source = None


def _other_length(text: str) -> IntegrityError:
    return IntegrityError("The store does not give back what was written.", text)
