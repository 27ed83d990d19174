"""A fixed VHD as it is read: a raw disk and a footer behind it ("Virtual Hard Disk Image Format")."""

import struct
import uuid

from imagesvc.stream import limit
from imagesvc.stream.format import checksum

FOOTER_BYTES = 512
_FOOTER = struct.Struct(">8sIIQI4sI4sQQHBBII16sB")
_SUM_AT = 64
_SECTOR_BYTES = 512
_VERSION, _FIXED, _NO_OFFSET = 0x10000, 2, (1 << 64) - 1
# Its maker means the size that stands there, and no geometry: so QEMU and others read it.
_CREATOR, _CREATOR_VERSION, _HOST = b"qem2", 0x50003, b"Wi2k"
_GEOMETRY_MAX = (65535, 16, 255)


class FixedVhd:
    """Gives `size_bytes` raw bytes of a reader, filled up to a sector, and the footer."""

    def __init__(self, reader: limit.Reader, size_bytes: int) -> None:
        disk_bytes = -(-size_bytes // _SECTOR_BYTES) * _SECTOR_BYTES
        self._reader = reader
        self._tail = bytes(disk_bytes - size_bytes) + footer(disk_bytes)
        self.size_bytes = disk_bytes + FOOTER_BYTES

    def read(self, size: int, /) -> bytes:
        """Give at most `size` bytes; none at the end."""
        data = self._reader.read(size)
        if not data:
            data, self._tail = self._tail[:size], self._tail[size:]
        return data


def footer(disk_bytes: int) -> bytes:
    """The last 512 bytes; the same for the same size, so that an export can be compared."""
    name = uuid.uuid5(uuid.NAMESPACE_OID, f"fixed-vhd-{disk_bytes}").bytes
    fields = (
        b"conectix", 2, _VERSION, _NO_OFFSET, 0, _CREATOR, _CREATOR_VERSION, _HOST, disk_bytes,
        disk_bytes, *_GEOMETRY_MAX, _FIXED,
    )  # fmt: skip
    unsealed = _FOOTER.pack(*fields, 0, name, 0).ljust(FOOTER_BYTES, b"\0")
    seal = checksum.ones_complement(unsealed, _SUM_AT)
    return _FOOTER.pack(*fields, seal, name, 0).ljust(FOOTER_BYTES, b"\0")
