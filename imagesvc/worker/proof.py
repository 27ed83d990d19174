"""Whether the bytes of a disk that were read are those that were stored."""

import hashlib
from collections.abc import Callable

from imagesvc.domain.image import ImageDisk
from imagesvc.interface.errors import IntegrityError
from imagesvc.stream import limit, pipe


class Proof:
    """Takes the bytes of a disk in order; one without a digest proves nothing."""

    def __init__(self, image_id: str, disk: ImageDisk) -> None:
        self._image_id = image_id
        self._disk = disk
        self._hash = hashlib.new(disk.hash_algorithm) if disk.hash_algorithm else None

    def update(self, data: bytes) -> None:
        """Take the next bytes."""
        if self._hash is not None:
            self._hash.update(data)

    def finish(self) -> None:
        """Raise IntegrityError if the disk has another digest."""
        if self._hash is not None and self._hash.hexdigest() != self._disk.hash_value:
            raise IntegrityError(
                "The store does not give back what was written.",
                f"disk {self._disk.index} of image {self._image_id} differs from its digest",
            )

    def read(self, reader: limit.Reader, check: Callable[[], None]) -> None:
        """Read a whole disk, only for this; `check` is called with each block.

        Raises IntegrityError, what reading and `check` raise.
        """
        while self._hash is not None and (block := reader.read(pipe.BLOCK_BYTES)):
            self.update(block)
            check()
        self.finish()


class Proved:
    """Gives `size_bytes` bytes of a reader, the last of them only after `prove` raised nothing.

    `seen` is told of all bytes before.
    """

    def __init__(
        self,
        reader: limit.Reader,
        size_bytes: int,
        prove: Callable[[], None],
        seen: Callable[[bytes], None] | None = None,
    ) -> None:
        self._reader = reader
        self._left = size_bytes
        self._prove = prove
        self._seen = seen
        self._proved = False

    def read(self, size: int, /) -> bytes:
        """Give at most `size` bytes; none at the end. Raises what `prove` does."""
        data = self._reader.read(size)
        if self._seen is not None:
            self._seen(data)
        self._left -= len(data)
        if self._left <= 0 and not self._proved:
            self._prove()
            self._proved = True
        return data
