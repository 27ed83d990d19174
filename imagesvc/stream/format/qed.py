"""QED, by QEMU's docs/interop/qed_spec.txt."""

import dataclasses
import struct

from imagesvc.stream.format import block_map, refusal

_HEAD = struct.Struct("<4sIIIQQQQQII")
_BACKING, _NEED_CHECK, _PROBE_RAW = 1, 2, 4


@dataclasses.dataclass(frozen=True, slots=True)
class Header:
    """The fields of a header, in their order; table and header sizes in clusters."""

    magic: bytes
    cluster_bytes: int
    table_clusters: int
    header_clusters: int
    features: int
    compatible: int
    autoclear: int
    l1_offset: int
    size: int
    backing_offset: int
    backing_length: int


class QedRule:
    """Judges the header; the tables are gate two's."""

    def __init__(self, virtual_cap_bytes: int) -> None:
        self._cap = virtual_cap_bytes
        self._header: Header | None = None

    def head(self, head: bytes) -> int:
        """Judge the header. Raises UnsupportedImage, TooLarge."""
        header = self._header = Header(*_HEAD.unpack_from(head))
        backed = header.features & (_BACKING | _PROBE_RAW)
        if backed or header.backing_offset or header.backing_length:
            raise refusal.unsafe("the QED image needs a backing file; flatten it first.")
        if header.features & _NEED_CHECK:
            raise refusal.unsafe("the QED image was not closed cleanly; repair it first.")
        if header.features:
            raise refusal.unsafe(f"the QED image has unknown features ({header.features:#x}).")
        cluster, table = header.cluster_bytes, header.table_clusters
        if not block_map.is_power(cluster, 4 << 10, 64 << 20):
            raise refusal.unsafe("the QED cluster size is out of range.")
        if not block_map.is_power(table, 1, 16):
            raise refusal.unsafe("the QED table size is out of range.")
        block_map.check_size(header.size, self._cap)
        entries = table * cluster // 8
        if header.size % 512 or header.size > entries * entries * cluster:
            raise refusal.unsafe("the virtual size of the QED image is out of range.")
        if header.l1_offset % cluster or header.l1_offset < max(1, header.header_clusters):
            raise refusal.unsafe("the QED L1 table is not at a cluster.")
        return 0

    def end(self, total: int, tail: bytes) -> int:
        """Give the virtual size in bytes. Raises UnsupportedImage if the table is cut off."""
        header = self._header
        if (
            header is None
            or header.l1_offset + header.table_clusters * header.cluster_bytes > total
        ):
            raise refusal.unsafe("the QED file ends before its table does.")
        return header.size
