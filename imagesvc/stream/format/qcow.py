"""QCOW of version 1, by QEMU's block/qcow.c; there is no document of it."""

import struct

from imagesvc.stream.format import block_map, refusal

_HEAD = struct.Struct(">4sIQIIQBBHIQ")
_CLUSTER_BITS, _L2_BITS = range(9, 17), range(6, 14)
_ENTRY_BYTES = 8


class QcowRule:
    """Judges the header; no tool checks the tables, which hold no counts to be checked."""

    def __init__(self, virtual_cap_bytes: int) -> None:
        self._cap = virtual_cap_bytes
        self._size = 0
        self._table_end = 0

    def head(self, head: bytes) -> int:
        """Judge the header. Raises UnsupportedImage, TooLarge."""
        fields = _HEAD.unpack_from(head)
        _, _, backing_at, backing_length, _, size, cluster_bits, l2_bits, _, crypt, l1_at = fields
        if backing_at or backing_length:
            raise refusal.unsafe("the QCOW image needs a backing file; flatten it first.")
        if crypt:
            raise refusal.unsafe("the QCOW image is encrypted.")
        if cluster_bits not in _CLUSTER_BITS or l2_bits not in _L2_BITS:
            raise refusal.unsafe("the QCOW cluster size is out of range.")
        block_map.check_size(size, self._cap)
        if size == 0 or size % 512:
            raise refusal.unsafe("the virtual size of the QCOW image is out of range.")
        entries = -(-size // (1 << (cluster_bits + l2_bits)))
        if l1_at < _HEAD.size:
            raise refusal.unsafe("the QCOW L1 table is out of place.")
        block_map.check_table(entries * _ENTRY_BYTES, "QCOW")
        self._size, self._table_end = size, l1_at + entries * _ENTRY_BYTES
        return 0

    def end(self, total: int, tail: bytes) -> int:
        """Give the virtual size in bytes. Raises UnsupportedImage if the table is cut off."""
        if self._table_end > total:
            raise refusal.unsafe("the QCOW file ends before its table does.")
        return self._size
