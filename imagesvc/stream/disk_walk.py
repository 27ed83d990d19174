"""The disks of an OVA one after the other as they come; nothing of it is kept."""

from collections import deque
from collections.abc import Iterator

from imagesvc.domain.machine import Machine, MachineDisk
from imagesvc.stream import archive, descriptor, limit, machine
from imagesvc.stream.format import refusal

_READ_BYTES = 1 << 18


class DiskStream:
    """Gives the bytes of one disk, `size_bytes` in all, packed if the disk says so."""

    def __init__(self, walk: "DiskWalk", disk: MachineDisk, size_bytes: int) -> None:
        self._walk = walk
        self._pieces: deque[bytes] = deque()
        self._ended = False
        self.disk = disk
        self.size_bytes = size_bytes

    def read(self, size: int, /) -> bytes:
        """Give at most `size` bytes; none at the end. Raises what the walk does."""
        while not self._pieces:
            if self._ended:
                return b""
            self._walk.pull()
        piece = self._pieces.popleft()
        if len(piece) > size:
            self._pieces.appendleft(piece[size:])
        return piece[:size]

    def feed(self, block: bytes) -> None:
        """Take bytes that were met in the archive."""
        self._pieces.append(block)

    def end(self, size_bytes: int) -> None:
        """There are no more."""
        self._ended = True


class _Nowhere:
    """Takes a disc that lay in a drive: the archive has hashed it, and nobody wants it."""

    def feed(self, block: bytes) -> None: ...
    def end(self, size_bytes: int) -> None: ...


class DiskWalk:
    """Walks an OVA; `machine` is known as soon as its first disk is.

    Iterate once: each disk is read to its end before the next one is asked for, and the whole is
    judged after the last. Raises UnsupportedImage, TooLarge above `cap_bytes` in all entries, and
    what the reader raises. One thread.
    """

    def __init__(self, reader: limit.Reader, cap_bytes: int) -> None:
        self._reader = reader
        self._archive = archive.Archive(self._open, cap_bytes=cap_bytes, begin=self._begin)
        self._waiting: deque[DiskStream] = deque()
        self.machine = Machine(())

    def __iter__(self) -> Iterator[DiskStream]:
        more = True
        while more or self._waiting:
            if self._waiting:
                yield self._waiting.popleft()
            else:
                more = self._pull()
        self._archive.finish()

    def pull(self) -> None:
        """Read on inside of a disk. Raises UnsupportedImage if there is no more."""
        if not self._pull():
            self._archive.finish()  # which says what is missing
            raise refusal.unsafe("the OVA ends too early.")

    def _pull(self) -> bool:
        block = self._reader.read(_READ_BYTES)
        self._archive.feed(block)
        return bool(block)

    def _begin(self, ovf: descriptor.Descriptor) -> None:
        self.machine = machine.describe(ovf)

    def _open(self, file: descriptor.File, size_bytes: int) -> archive.Sink:
        disk = next((one for one in self.machine.disks if one.name == file.name), None)
        if disk is None:
            return _Nowhere()
        stream = DiskStream(self, disk, size_bytes)
        self._waiting.append(stream)
        return stream
