"""VMDK with a binary header, by VMware's "Virtual Disk Format 5.0"; never a text alone."""

import dataclasses
import re
import struct

from imagesvc.stream.format import block_map, refusal

_HEAD = struct.Struct("<4sIIQQQQIQQQB4sH")
_SECTOR = 512
_AT_END = 0xFFFFFFFFFFFFFFFF
_NEWLINES = b"\n \r\n"
_FLAGS_KNOWN, _COMPRESSED = 0x30007, 0x10000
_ENTRIES = 512  # of each grain table
_TEXT_SECTORS_MAX = 127  # what is kept of the head
_FOOTER = struct.Struct("<QII")
_FOOTER_TYPE = 3

_EXTENT = re.compile(r'(?:RW|RDONLY) (\d{1,15}) SPARSE "[\w .()+-]{1,255}"', re.ASCII)
_PAIR = re.compile(r'([A-Za-z][\w.]*) ?= ?("[^"]*"|\w+)', re.ASCII)
_KINDS = ('"monolithicSparse"', '"streamOptimized"')
# Each key that is taken, and what it must say; None takes anything.
_KEYS = {
    "version": ("1",),
    "encoding": None,
    "CID": None,
    "parentCID": ("ffffffff", "FFFFFFFF"),
    "isNativeSnapshot": ('"no"',),
    "createType": _KINDS,
}


@dataclasses.dataclass(frozen=True, slots=True)
class Header:
    """The fields of a header, in their order; places and lengths in sectors."""

    magic: bytes
    version: int
    flags: int
    capacity: int
    grain: int
    text_at: int
    text_sectors: int
    entries: int
    spare_directory_at: int
    directory_at: int
    overhead: int
    unclean: int
    newlines: bytes
    compression: int


class VmdkRule:
    """Judges header, footer and the embedded text; the grain tables are gate two's."""

    def __init__(self, virtual_cap_bytes: int) -> None:
        self._cap = virtual_cap_bytes
        self._header: Header | None = None

    def head(self, head: bytes) -> int:
        """Judge header and text. Raises UnsupportedImage, TooLarge."""
        if head[:4] != b"KDMV":
            raise refusal.unsafe("only VMDK images that begin with a sparse header are taken.")
        header = self._header = Header(*_HEAD.unpack_from(head))
        block_map.check_size(header.capacity * _SECTOR, self._cap)
        _check_header(header)
        _check_text(header, head)
        return 0

    def end(self, total: int, tail: bytes) -> int:
        """Give the virtual size in bytes. Raises UnsupportedImage if a part is missing."""
        header = self._header
        if header is None:
            raise refusal.unsafe("the VMDK header is cut off.")
        directory_at = header.directory_at
        if directory_at == _AT_END:
            directory_at = _footer_directory(header, tail)
        tables = -(-header.capacity // (header.grain * _ENTRIES))
        for at in (directory_at, header.spare_directory_at):
            if at * _SECTOR + (tables * 4 if at else 0) > total:
                raise refusal.unsafe("the VMDK file ends before its grain directory does.")
        if not directory_at:
            raise refusal.unsafe("the VMDK image has no grain directory.")
        return header.capacity * _SECTOR


def _check_header(header: Header) -> None:
    if header.version not in (1, 2, 3) or header.flags & ~_FLAGS_KNOWN:
        raise refusal.unsafe("the VMDK image has unknown features.")
    if header.newlines != _NEWLINES:
        raise refusal.unsafe("the VMDK image was damaged on its way: its line ends were changed.")
    if header.capacity == 0 or header.text_at != 1:
        raise refusal.unsafe("the VMDK image keeps its description elsewhere.")
    if not 0 < header.text_sectors <= _TEXT_SECTORS_MAX:
        raise refusal.unsafe("the VMDK description is out of range.")
    if not block_map.is_power(header.grain, 8, 2048) or header.entries != _ENTRIES:
        raise refusal.unsafe("the VMDK grain size is out of range.")
    if header.compression != (1 if header.flags & _COMPRESSED else 0):
        raise refusal.unsafe("the VMDK compression is unknown.")


def _footer_directory(header: Header, tail: bytes) -> int:
    """Where the grain directory is, by the footer of a stream: marker, header, end marker."""
    if len(tail) < 3 * _SECTOR:
        raise refusal.unsafe("the VMDK footer is missing.")
    marker, raw, end = (tail[at - 1536 : at - 1024 or None] for at in (0, 512, 1024))
    footer = Header(*_HEAD.unpack_from(raw))
    if _FOOTER.unpack_from(marker) != (1, 0, _FOOTER_TYPE) or any(end):
        raise refusal.unsafe("the VMDK footer is missing.")
    same = dataclasses.replace(header, directory_at=footer.directory_at)
    if footer != same or footer.directory_at == _AT_END:
        raise refusal.unsafe("header and footer of the VMDK image differ.")
    return footer.directory_at


def _check_text(header: Header, head: bytes) -> None:
    raw = head[_SECTOR : _SECTOR * (1 + header.text_sectors)]
    text, _, rest = raw.partition(b"\0")
    if any(rest) or not text.isascii():
        raise refusal.unsafe("the VMDK description is no plain text.")
    lines = [line.rstrip("\r \t") for line in text.decode("ascii").split("\n")]
    if lines[0] != "# Disk DescriptorFile":
        raise refusal.unsafe("the VMDK description is missing.")
    seen: set[str] = set()
    for line in lines[1:]:
        if line and not line.startswith("#"):
            _check_line(line, header, seen)
    if not {"version", "parentcid", "createtype", "extent"} <= seen:
        raise refusal.unsafe("the VMDK description is not complete.")


def _check_line(line: str, header: Header, seen: set[str]) -> None:
    extent = _EXTENT.fullmatch(line)
    pair = _PAIR.fullmatch(line)
    if extent is not None:
        key, right = "extent", int(extent[1]) == header.capacity
    elif pair is not None and (pair[1] in _KEYS or pair[1].startswith("ddb.")):
        wanted = _KEYS.get(pair[1])
        key, right = pair[1].lower(), wanted is None or pair[2] in wanted
    else:
        raise refusal.unsafe("the VMDK description names another file or is not understood.")
    if not right or key in seen:
        raise refusal.unsafe(f"{key} in the VMDK description is not taken so, or stands twice.")
    seen.add(key)
