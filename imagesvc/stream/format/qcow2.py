"""QCOW2, by QEMU's docs/interop/qcow2.txt; bounds are QEMU's own unless said otherwise."""

import dataclasses
import struct
from collections.abc import Iterator

from imagesvc import errors
from imagesvc.stream.format import refusal

_HEAD = struct.Struct(">4sIQIIQIIQQIIQ")
_HEAD_3 = struct.Struct(">QQQII")
_LENGTH_2, _LENGTH_3 = _HEAD.size, _HEAD.size + _HEAD_3.size
_L1_BYTES_MAX = 32 << 20
_REFCOUNT_TABLE_BYTES_MAX = 8 << 20
_SIZE_MAX = (1 << 63) - 1

_DIRTY, _CORRUPT, _DATA_FILE, _COMPRESSION, _EXTENDED_L2 = 1, 2, 4, 8, 16
_KNOWN = _COMPRESSION | _EXTENDED_L2
_RAW_DATA_FILE = 2  # an autoclear bit

_EXTENSION_END, _EXTENSION_FEATURE_NAMES = 0, 0x6803F857
_EXTENSION_REFUSED = {
    0xE2792ACA: "names the format of a backing file",
    0x44415441: "names an external data file",
    0x0537BE77: "holds an encryption header",
    0x23852875: "holds persistent bitmaps; convert the image to drop them",
}


@dataclasses.dataclass(frozen=True, slots=True)
class Header:
    """The fields of a header, in their order; those of version 3 are zero in version 2."""

    magic: bytes
    version: int
    backing_offset: int
    backing_length: int
    cluster_bits: int
    size: int
    crypt_method: int
    l1_size: int
    l1_offset: int
    refcount_offset: int
    refcount_clusters: int
    snapshots: int
    snapshots_offset: int
    incompatible: int = 0
    compatible: int = 0
    autoclear: int = 0
    refcount_order: int = 4
    length: int = _LENGTH_2

    @property
    def cluster_bytes(self) -> int:
        return 1 << self.cluster_bits


class Qcow2Rule:
    """Judges the header and its extensions; the tables behind it are gate two's."""

    def __init__(self, virtual_cap_bytes: int) -> None:
        self._cap = virtual_cap_bytes
        self._header: Header | None = None

    def head(self, head: bytes) -> int:
        """Judge the header. Raises UnsupportedImage, TooLarge."""
        header = _read(head)
        _check_features(header)
        _check_bounds(header)
        if header.size > self._cap:
            raise errors.TooLarge(
                what="The virtual size of the image",
                limit=self._cap,
                unit="bytes",
                reason=errors.Reason.SIZE_CAP,
            )
        _check_compression(header, head)
        _check_extensions(header, head)
        self._header = header
        return 0

    def end(self, total: int, tail: bytes) -> int:
        """Give the virtual size in bytes. Raises UnsupportedImage if a table is cut off."""
        header = self._header
        if header is None:
            raise refusal.unsafe("the QCOW2 header is cut off.")
        l1_end = header.l1_offset + header.l1_size * 8
        if l1_end > total or header.refcount_offset >= total:
            raise refusal.unsafe("the QCOW2 file ends before its tables do.")
        return header.size


def _read(head: bytes) -> Header:
    if len(head) < _LENGTH_2:
        raise refusal.unsafe("the QCOW2 header is cut off.")
    header = Header(*_HEAD.unpack_from(head))
    if header.version == 2:
        return header
    if header.version != 3:
        raise refusal.unsafe(f"QCOW version {header.version} is not taken; only 2 and 3 are.")
    if len(head) < _LENGTH_3:
        raise refusal.unsafe("the QCOW2 header is cut off.")
    return Header(*_HEAD.unpack_from(head), *_HEAD_3.unpack_from(head, _LENGTH_2))


def _check_features(header: Header) -> None:
    if header.backing_offset or header.backing_length:
        raise refusal.unsafe("the QCOW2 image needs a backing file; flatten it first.")
    if header.incompatible & _DATA_FILE or header.autoclear & _RAW_DATA_FILE:
        raise refusal.unsafe("the QCOW2 image keeps its data in another file.")
    if header.crypt_method:
        raise refusal.unsafe("the QCOW2 image is encrypted.")
    if header.incompatible & _CORRUPT:
        raise refusal.unsafe("the QCOW2 image is marked as corrupt.")
    if header.incompatible & _DIRTY:
        raise refusal.unsafe("the QCOW2 image was not closed cleanly; repair it first.")
    if header.incompatible & ~_KNOWN:
        raise refusal.unsafe(f"the QCOW2 image has unknown features ({header.incompatible:#x}).")
    if header.snapshots:
        raise refusal.unsafe("the QCOW2 image has internal snapshots; convert it to drop them.")


def _check_bounds(header: Header) -> None:
    extended = bool(header.incompatible & _EXTENDED_L2)
    if not (14 if extended else 9) <= header.cluster_bits <= 21:
        raise refusal.unsafe(f"QCOW2 cluster_bits {header.cluster_bits} is out of range.")
    if header.size > _SIZE_MAX:
        raise refusal.unsafe("the virtual size of the QCOW2 image is out of range.")
    cluster = header.cluster_bytes
    covered = cluster * (cluster // (16 if extended else 8))
    if header.l1_size * 8 > _L1_BYTES_MAX or header.l1_size * covered < header.size:
        raise refusal.unsafe("the QCOW2 L1 table does not fit the virtual size.")
    if header.l1_size and not _is_place(header.l1_offset, cluster):
        raise refusal.unsafe("the QCOW2 L1 table is not at a cluster.")
    if not _is_place(header.refcount_offset, cluster):
        raise refusal.unsafe("the QCOW2 refcount table is not at a cluster.")
    if not 0 < header.refcount_clusters * cluster <= max(_REFCOUNT_TABLE_BYTES_MAX, cluster):
        raise refusal.unsafe("the QCOW2 refcount table is out of range.")
    if header.refcount_order > 6:
        raise refusal.unsafe("the QCOW2 refcounts are too wide.")
    shortest = _LENGTH_2 if header.version == 2 else _LENGTH_3
    if not shortest <= header.length <= cluster or header.length % 8:
        raise refusal.unsafe("the QCOW2 header length is out of range.")


def _is_place(offset: int, cluster: int) -> bool:
    return 0 < offset <= _SIZE_MAX and offset % cluster == 0


def _check_compression(header: Header, head: bytes) -> None:
    kind = head[_LENGTH_3] if header.length > _LENGTH_3 and len(head) > _LENGTH_3 else 0
    if kind > 1 or bool(kind) != bool(header.incompatible & _COMPRESSION):
        raise refusal.unsafe("the QCOW2 compression type is unknown.")


def _check_extensions(header: Header, head: bytes) -> None:
    for kind in _extensions(header, head):
        if kind != _EXTENSION_FEATURE_NAMES:
            what = _EXTENSION_REFUSED.get(kind, f"of type {kind:#010x} is not known")
            raise refusal.unsafe(f"a QCOW2 header extension {what}.")


def _extensions(header: Header, head: bytes) -> Iterator[int]:
    """Walk the extensions; all must end in the first cluster and in the part that we keep."""
    at, end = header.length, min(header.cluster_bytes, len(head))
    while at + 8 <= end:
        kind, length = struct.unpack_from(">II", head, at)
        if kind == _EXTENSION_END:
            return
        yield kind
        at += 8 + -(-length // 8) * 8
    raise refusal.unsafe("the QCOW2 header extensions do not end where they should.")
