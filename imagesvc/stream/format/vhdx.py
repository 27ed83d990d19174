"""VHDX, by Microsoft's open specification [MS-VHDX]."""

import array
import struct
import sys
import uuid

from imagesvc.stream.format import block_map, checksum, refusal

_KIB, _MIB = 1 << 10, 1 << 20
_HEADERS_AT, _HEADER_BYTES = (64 * _KIB, 128 * _KIB), 4 * _KIB
_REGIONS_AT, _REGIONS_BYTES = (192 * _KIB, 256 * _KIB), 64 * _KIB
_HEAD_BYTES = 320 * _KIB
_LOG_BYTES_MAX = 64 * _MIB
_ITEM_LENGTHS = {"file": 8, "size": 8, "page83": 16, "sector": 4, "physical": 4}
_ITEMS = {
    uuid.UUID(text).bytes_le: name
    for name, text in {
        "file": "caa16737-fa36-4d43-b3b6-33f0aa44e76b",
        "size": "2fa54224-cd1b-4876-b211-5dbed83bf4b8",
        "page83": "beca12ab-b2e6-4523-93ef-c309e000c746",
        "sector": "8141bf1d-a96f-4709-ba47-f233a8faab5f",
        "physical": "cda348c7-445d-4471-9cc9-e9885251c556",
    }.items()
}
_MAP_REGION = uuid.UUID("2dc27766-f623-4200-9d64-115e9bfd4a08").bytes_le
_META_REGION = uuid.UUID("8b7ca206-4790-4b9a-b8fe-575f050f886e").bytes_le
_FULLY_PRESENT, _PARTLY_PRESENT = 6, 7
_META_ITEMS_BYTES = 128 * _KIB  # the table, and the items behind it


class VhdxRule:
    """Judges headers, regions, metadata and the block table."""

    def __init__(self, virtual_cap_bytes: int) -> None:
        self._cap = virtual_cap_bytes
        self._size = self._block_bytes = self._sector = 0
        self._end = 0
        self._held: list[tuple[int, int]] = []
        self._table = array.array("Q")

    def head(self, head: bytes) -> int:
        """Judge all that stands before the blocks; says how far that reaches.

        Raises UnsupportedImage, TooLarge.
        """
        if len(head) < _HEAD_BYTES:
            return _HEAD_BYTES
        log = _check_header(head)
        regions = _regions(head)
        self._check_places([log, *regions.values()])
        meta_at, meta_bytes = regions[_META_REGION]
        map_at, map_bytes = regions[_MAP_REGION]
        meta_end = meta_at + min(meta_bytes, _META_ITEMS_BYTES)
        block_map.check_table(max(meta_end, map_at), "VHDX")
        if len(head) < meta_end:
            return meta_end
        self._read_items(head[meta_at:meta_end])
        entries = self._entries()
        if entries * 8 > map_bytes:
            raise refusal.unsafe("the VHDX block table does not fit the virtual size.")
        block_map.check_table(map_at + entries * 8, "VHDX")
        if len(head) < map_at + entries * 8:
            return map_at + entries * 8
        self._table = array.array("Q", head[map_at : map_at + entries * 8])
        if sys.byteorder == "big":
            self._table.byteswap()
        return 0

    def end(self, total: int, tail: bytes) -> int:
        """Give the virtual size in bytes. Raises UnsupportedImage for blocks out of the file."""
        if self._end > total or not self._size:
            raise refusal.unsafe("the VHDX file ends before its regions do.")
        ratio = (1 << 23) * self._sector // self._block_bytes
        places = []
        for number, entry in enumerate(self._table, 1):
            state, place = entry & 7, entry & ~0xFFFFF
            if number % (ratio + 1) == 0:
                if state:
                    raise refusal.unsafe("the VHDX image has a map of a parent's sectors.")
            elif state == _PARTLY_PRESENT:
                raise refusal.unsafe("the VHDX image needs a parent image; flatten it first.")
            elif state == _FULLY_PRESENT:
                places.append(place)
        # Blocks may lie between the regions, so each place is held against all of those.
        block_map.check(places, block_bytes=self._block_bytes, begin=_MIB, end=total, what="VHDX")
        for place in places:
            if any(place < at + size and at < place + self._block_bytes for at, size in self._held):
                raise refusal.unsafe("blocks of the VHDX image overlap its tables.")
        return self._size

    def _check_places(self, places: list[tuple[int, int]]) -> None:
        """Regions and log stand apart, at whole MiB, behind the headers."""
        free = _MIB
        for at, size in sorted(place for place in places if place[1]):
            if at % _MIB or size % _MIB or at < free:
                raise refusal.unsafe("regions of the VHDX image are out of place.")
            free = at + size
        self._end = free
        self._held = places

    def _read_items(self, meta: bytes) -> None:
        items = _items(meta)
        if not {"file", "size", "sector"} <= items.keys():
            raise refusal.unsafe("the VHDX metadata are not complete.")
        self._block_bytes, flags = struct.unpack("<II", items["file"])
        (self._size,) = struct.unpack("<Q", items["size"])
        (self._sector,) = struct.unpack("<I", items["sector"])
        if flags & 2:
            raise refusal.unsafe("the VHDX image needs a parent image; flatten it first.")
        block_map.check_size(self._size, self._cap)
        if not block_map.is_power(self._block_bytes, _MIB, 256 * _MIB):
            raise refusal.unsafe("the VHDX block size is out of range.")
        if self._sector not in (512, 4096) or not self._size or self._size % self._sector:
            raise refusal.unsafe("the virtual size of the VHDX image is out of range.")

    def _entries(self) -> int:
        blocks = -(-self._size // self._block_bytes)
        return blocks + (blocks - 1) // ((1 << 23) * self._sector // self._block_bytes)


def _check_header(head: bytes) -> tuple[int, int]:
    """Judge the header in force; give place and length of its log."""
    found = []
    for at in _HEADERS_AT:
        raw = head[at : at + _HEADER_BYTES]
        if raw[:4] == b"head" and _is_sealed(raw):
            found.append((struct.unpack_from("<Q", raw, 8)[0], raw))
    if not found or (len(found) == 2 and found[0][0] == found[1][0] and found[0] != found[1]):
        raise refusal.unsafe("the VHDX image has no header in force.")
    raw = max(found)[1]
    log_version, version, log_bytes, log_at = struct.unpack_from("<HHIQ", raw, 64)
    if any(raw[48:64]):
        raise refusal.unsafe("the VHDX image has a log to replay; open and close it first.")
    if version != 1 or log_version or log_bytes > _LOG_BYTES_MAX:
        raise refusal.unsafe("the VHDX header is out of range.")
    return log_at, log_bytes


def _regions(head: bytes) -> dict[bytes, tuple[int, int]]:
    first, second = (head[at : at + _REGIONS_BYTES] for at in _REGIONS_AT)
    if first != second or first[:4] != b"regi" or not _is_sealed(first):
        raise refusal.unsafe("the VHDX region tables are broken or differ.")
    (count,) = struct.unpack_from("<I", first, 8)
    if count != 2:
        raise refusal.unsafe("the VHDX image has other regions than metadata and block table.")
    found = {}
    for number in range(count):
        kind, at, size, _ = struct.unpack_from("<16sQII", first, 16 + 32 * number)
        found[kind] = (at, size)
    if found.keys() != {_MAP_REGION, _META_REGION} or not all(size for _, size in found.values()):
        raise refusal.unsafe("the VHDX image has other regions than metadata and block table.")
    return found


def _items(meta: bytes) -> dict[str, bytes]:
    (count,) = struct.unpack_from("<H", meta, 10)
    if meta[:8] != b"metadata" or count > 64:
        raise refusal.unsafe("the VHDX metadata are not readable.")
    found: dict[str, bytes] = {}
    for number in range(count):
        kind, at, size, _ = struct.unpack_from("<16sIII", meta, 32 + 32 * number)
        name = _ITEMS.get(kind)
        if name is None or name in found:
            raise refusal.unsafe("the VHDX metadata hold an item that is not taken, or one twice.")
        if size != _ITEM_LENGTHS[name] or at < 64 * _KIB or at + size > len(meta):
            raise refusal.unsafe(f"the VHDX metadata item {name} is out of range.")
        found[name] = meta[at : at + size]
    return found


def _is_sealed(raw: bytes) -> bool:
    (seal,) = struct.unpack_from("<I", raw, 4)
    return bool(seal == checksum.crc32c(raw[:4] + bytes(4) + raw[8:]))
