"""VHD, by Microsoft's "Virtual Hard Disk Image Format Specification" 1.0."""

import array
import dataclasses
import struct
import sys

from imagesvc.stream.format import block_map, checksum, partition, refusal

_FOOT = struct.Struct(">8sIIQI4sI4sQQHBBII16sB")
_FOOT_BYTES, _FOOT_SUM_AT = 512, 64
_DYNAMIC = struct.Struct(">8sQQIIII16s")
_DYNAMIC_BYTES, _DYNAMIC_SUM_AT = 1024, 36
_VERSION = 0x10000
_FIXED, _SPARSE = 2, 3
_UNUSED = 0xFFFFFFFF
# These makers mean the size in the footer, all others the geometry.
_MEAN_SIZE = (b"win ", b"qem2", b"d2v ", b"CTXS", b"tap\0", b"wa\0\0")
_GEOMETRY_MAX = (65535, 16, 255)


@dataclasses.dataclass(frozen=True, slots=True)
class Footer:
    """The fields of a footer, in their order."""

    cookie: bytes
    features: int
    version: int
    data_offset: int
    created: int
    creator: bytes
    creator_version: int
    creator_os: bytes
    original_size: int
    size: int
    cylinders: int
    heads: int
    sectors: int
    kind: int
    checksum: int
    uuid: bytes
    saved_state: int

    @property
    def geometry_bytes(self) -> int:
        return self.cylinders * self.heads * self.sectors * 512

    @property
    def cylinder_bytes(self) -> int:
        return self.heads * self.sectors * 512


class VhdRule:
    """Judges footer, header and block table; a fixed VHD has its footer alone."""

    def __init__(self, virtual_cap_bytes: int) -> None:
        self._cap = virtual_cap_bytes
        self._copy = b""
        self._block_bytes = self._blocks_begin = 0
        self._table = array.array("I")
        self.slack_bytes = 0

    def head(self, head: bytes) -> int:
        """Judge what stands at the begin of a dynamic VHD; says how far its table reaches.

        Raises UnsupportedImage, TooLarge.
        """
        if head[:8] != b"conectix":
            partition.check(head[:512], protective_alone=True)
            return 0
        self._copy = head[:_FOOT_BYTES]
        footer = _read_footer(self._copy)
        if footer.kind != _SPARSE:
            raise refusal.unsafe("the VHD image needs a parent image or is of an unknown type.")
        self._check_size(footer)
        return self._read_table(footer, head)

    def _read_table(self, footer: Footer, head: bytes) -> int:
        at = footer.data_offset
        if at != _FOOT_BYTES:
            raise refusal.unsafe("the header of the VHD image does not follow its first footer.")
        table_at, entries, block = _read_header(head[at : at + _DYNAMIC_BYTES])
        if not block_map.is_power(block, 4096, 256 << 20) or entries * block < footer.size:
            raise refusal.unsafe("the VHD block size is out of range.")
        end = table_at + entries * 4
        block_map.check_table(end, "VHD")
        if table_at % 512 or table_at < at + _DYNAMIC_BYTES:
            raise refusal.unsafe("the VHD block table is out of place.")
        if len(head) < end:
            return end
        self._block_bytes = block + -(-block // 4096 // 512) * 512  # with its map of sectors
        self._blocks_begin = end
        self._table = array.array("I", head[table_at:end])
        if sys.byteorder == "little":
            self._table.byteswap()
        return 0

    def end(self, total: int, tail: bytes) -> int:
        """Give the virtual size in bytes, the larger where two are written.

        Raises UnsupportedImage, TooLarge.
        """
        raw = tail[-_FOOT_BYTES:]
        if len(raw) < _FOOT_BYTES or not raw.startswith(b"conectix"):
            raise refusal.unsafe("the VHD image has no footer of 512 bytes at its end.")
        footer = _read_footer(raw)
        size = self._check_size(footer)
        if not self._copy:
            if footer.kind != _FIXED or footer.size != total - _FOOT_BYTES:
                raise refusal.unsafe("the fixed VHD is not as long as its footer says.")
            return size
        if raw != self._copy:
            raise refusal.unsafe("the two footers of the VHD image differ.")
        block_map.check(
            (entry * 512 for entry in self._table if entry != _UNUSED),
            block_bytes=self._block_bytes,
            begin=self._blocks_begin,
            end=total - _FOOT_BYTES,
            what="VHD",
        )
        return size

    def _check_size(self, footer: Footer) -> int:
        block_map.check_size(max(footer.size, footer.geometry_bytes), self._cap)
        if footer.size == 0 or footer.size % 512:
            raise refusal.unsafe("the virtual size of the VHD image is out of range.")
        at_most = (footer.cylinders, footer.heads, footer.sectors) == _GEOMETRY_MAX
        if footer.creator in _MEAN_SIZE or (at_most and footer.size >= footer.geometry_bytes):
            return footer.size
        if abs(footer.size - footer.geometry_bytes) > footer.cylinder_bytes:
            raise refusal.unsafe("size and geometry of the VHD image differ.")
        self.slack_bytes = footer.cylinder_bytes
        return max(footer.size, footer.geometry_bytes)


def _read_header(header: bytes) -> tuple[int, int, int]:
    """Place and entries of the block table, and bytes of a block."""
    fields = _DYNAMIC.unpack_from(header)
    cookie, _, table_at, version, entries, block, total, parent = fields
    if cookie != b"cxsparse" or version != _VERSION or len(header) != _DYNAMIC_BYTES:
        raise refusal.unsafe("the VHD header is not readable.")
    if total != checksum.ones_complement(header, _DYNAMIC_SUM_AT):
        raise refusal.unsafe("the checksum of the VHD header is wrong.")
    if any(parent):
        raise refusal.unsafe("the VHD image needs a parent image; flatten it first.")
    return int(table_at), int(entries), int(block)


def _read_footer(raw: bytes) -> Footer:
    footer = Footer(*_FOOT.unpack_from(raw))
    if footer.checksum != checksum.ones_complement(raw, _FOOT_SUM_AT):
        raise refusal.unsafe("the checksum of the VHD footer is wrong.")
    if footer.version != _VERSION or footer.saved_state:
        raise refusal.unsafe("the VHD image is of another version or a saved state.")
    return footer
