"""Packed bytes read as what they hold, for imports that unpack."""

from collections.abc import Iterator

from imagesvc.stream import limit, unpack
from imagesvc.stream.format import refusal

_READ_BYTES = 1 << 18


class UnpackedReader:
    """Gives what gzip, xz or zstd packed, or the bytes themselves if none of these did.

    `packed` names the packer, known as soon as it is made, which reads the first bytes. One
    stream is taken, and at most `cap_bytes` come out. Raises UnsupportedImage, TooLarge, and
    what the reader raises. One thread.
    """

    def __init__(self, reader: limit.Reader, cap_bytes: int) -> None:
        self._reader = reader
        self._head = _head_of(reader)
        name = unpack.packer(self._head)
        self.packed = name if name in unpack.SIGNATURES.values() else ""
        self._unpacker = unpack.Unpacker(cap_bytes)
        self._pieces: Iterator[bytes] = iter(())
        self._rest = memoryview(b"")

    def read(self, size: int, /) -> bytes:
        """Give at most `size` bytes; none at the end."""
        if not self.packed:
            return self._take(size) or self._reader.read(size)
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is not None:
                self._rest = memoryview(piece)
                continue
            block = self._take(_READ_BYTES) or self._reader.read(_READ_BYTES)
            if not block:
                return self._end()
            self._pieces = self._unpacker.feed(block)
        data, self._rest = bytes(self._rest[:size]), self._rest[size:]
        return data

    def _take(self, size: int) -> bytes:
        """What is left of the first bytes."""
        data, self._head = self._head[:size], self._head[size:]
        return data

    def _end(self) -> bytes:
        if not self._unpacker.ended:
            raise refusal.unsafe("the packed bytes end too early.")
        return b""


def _head_of(reader: limit.Reader) -> bytes:
    head = b""
    while len(head) < unpack.SIGNATURE_BYTES:
        data = reader.read(unpack.SIGNATURE_BYTES - len(head))
        if not data:
            break
        head += data
    return head
