"""The format of an image of which nobody said it, told from its first bytes, once and for all.

What is found here is what the image is declared as from then on: gate one holds it to that, and
no tool ever guesses.
"""

from imagesvc.stream import limit
from imagesvc.stream.format import refusal, table

# A hybrid disc has a partition table too, which is no signature of ours: nothing else goes together.
_READ_BYTES = 1 << 16
_TAR_AT = 257


class Sniffer:
    """Gives the bytes of a reader; `disk_format` is known as soon as it is made.

    Raises UnsupportedImage for bytes of no format, of several, and for what shows nothing at its
    beginning: raw disks and fixed VHD have to be declared.
    """

    def __init__(self, reader: limit.Reader) -> None:
        self._reader = reader
        self._head = _head_of(reader)
        self.disk_format = of(self._head)

    def read(self, size: int, /) -> bytes:
        """Give at most `size` bytes; none at the end."""
        if self._head:
            data, self._head = self._head[:size], self._head[size:]
            return data
        return self._reader.read(size)


def of(head: bytes) -> str:
    """The format whose signature is in the first bytes. Raises UnsupportedImage."""
    found = sorted(table.detect(head) & table.RULES.keys())
    if len(found) == 1:
        return found[0]
    if found:
        raise refusal.mismatch(f"it is {' and '.join(found)} at once.")
    if head[_TAR_AT:].startswith(b"ustar"):
        raise refusal.mismatch("it is a tar archive; say disk_format ova if it holds a machine.")
    raise refusal.mismatch("its format does not show; say disk_format, such as raw.")


def _head_of(reader: limit.Reader) -> bytes:
    head = bytearray()
    while len(head) < table.HEAD_BYTES:
        data = reader.read(min(_READ_BYTES, table.HEAD_BYTES - len(head)))
        if not data:
            break
        head += data
    return bytes(head)
