"""VirtualBox disk images, version 1.1."""

import array
import struct
import sys

from imagesvc.stream.format import block_map, refusal

# From offset 64: signature, version, header size, type, flags, comment, block map, data, then
# geometry, sector size, disk size, block size, extra bytes, blocks, allocated blocks.
_HEAD = struct.Struct("<IIIII256sIIIIIIIQIIII")
_HEAD_AT, _LINK_AT = 64, 64 + _HEAD.size + 32
_SIGNATURE, _VERSION = 0xBEDA107F, 0x10001
_DYNAMIC, _STATIC = 1, 2
_UNALLOCATED, _ZERO = 0xFFFFFFFF, 0xFFFFFFFE


class VdiRule:
    """Judges the header and the map of blocks."""

    def __init__(self, virtual_cap_bytes: int) -> None:
        self._cap = virtual_cap_bytes
        self._size = self._block_bytes = self._data_offset = self._allocated = 0
        self._map = array.array("I")

    def head(self, head: bytes) -> int:
        """Judge header and map; says how many bytes reach to the end of the map.

        Raises UnsupportedImage, TooLarge.
        """
        fields = _HEAD.unpack_from(head, _HEAD_AT)
        signature, version, _, kind, _, _, map_at, self._data_offset = fields[:8]
        sector, _, self._size, self._block_bytes, extra, blocks, self._allocated = fields[11:]
        if signature != _SIGNATURE or version != _VERSION:
            raise refusal.unsafe("the VDI version is not taken; only 1.1 is.")
        if kind not in (_DYNAMIC, _STATIC) or any(head[_LINK_AT : _LINK_AT + 32]):
            raise refusal.unsafe("the VDI image needs a parent image; flatten it first.")
        block_map.check_size(self._size, self._cap)
        if sector != 512 or extra or not block_map.is_power(self._block_bytes, 4096, 64 << 20):
            raise refusal.unsafe("the VDI block size is out of range.")
        if blocks != -(-self._size // self._block_bytes) or self._allocated > blocks:
            raise refusal.unsafe("the VDI block count does not fit the virtual size.")
        block_map.check_table(blocks * 4, "VDI")
        end = int(map_at + blocks * 4)
        if map_at < 512 or map_at % 512 or self._data_offset % 512 or end > self._data_offset:
            raise refusal.unsafe("the VDI block map is out of place.")
        block_map.check_table(end, "VDI")
        if len(head) < end:
            return end
        self._map = array.array("I", head[map_at:end])
        if sys.byteorder == "big":
            self._map.byteswap()
        return 0

    def end(self, total: int, tail: bytes) -> int:
        """Give the virtual size in bytes. Raises UnsupportedImage for blocks out of the file."""
        if self._data_offset + self._allocated * self._block_bytes > total:
            raise refusal.unsafe("the VDI file ends before its blocks do.")
        block_map.check(
            (
                self._data_offset + entry * self._block_bytes
                for entry in self._map
                if entry not in (_UNALLOCATED, _ZERO)
            ),
            block_bytes=self._block_bytes,
            begin=self._data_offset,
            end=self._data_offset + self._allocated * self._block_bytes,
            what="VDI",
        )
        return self._size
