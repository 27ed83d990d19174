"""The partition table of a disk: GPT (UEFI specification, 5.3) or that of the boot sector.

At most PARTITIONS_MAX partitions are given; entries that lead out of the disk are left out.
"""

import dataclasses
import struct
import uuid
from collections.abc import Iterator

from imagesvc_drivers.converter.guest import view, volume

PARTITIONS_MAX = 32
SECTOR_BYTES = 512
_ENTRIES_MAX = 128
_GPT_SECTORS = (512, 4096)
_ESP, _BIOS_BOOT = (
    uuid.UUID("c12a7328-f81f-11d2-ba4b-00a0c93ec93b"),
    uuid.UUID("21686148-6449-6e6f-744e-656564454649"),
)
_LEGACY_BOOTABLE = 1 << 2
_MBR_ESP, _MBR_PROTECTIVE, _MBR_EXTENDED = 0xEF, 0xEE, frozenset({0x05, 0x0F, 0x85})
_CODE_BYTES = 440


@dataclasses.dataclass(frozen=True, slots=True)
class Partition:
    """Where a partition begins, in bytes; `efi`: it is the one that UEFI boots from."""

    offset: int
    efi: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Table:
    """The partitions, and whether there is something that a BIOS would start."""

    partitions: tuple[Partition, ...]
    bios: bool = False


def read(disk: view.View) -> Table:
    """Read it; a disk without a table is one partition."""
    first = disk.read(0, SECTOR_BYTES)
    if volume.kind_at(disk, 0) or first[510:512] != b"\x55\xaa":
        return Table((Partition(0),))
    code = any(first[:_CODE_BYTES])
    entries = [first[446 + 16 * n : 462 + 16 * n] for n in range(4)]
    if any(entry[4] == _MBR_PROTECTIVE for entry in entries):
        return _gpt(disk, code)
    found = [part for entry in entries for part in _mbr_entry(disk, entry)]
    return Table(tuple(part for part in found if part.offset < disk.size)[:PARTITIONS_MAX], code)


def _mbr_entry(disk: view.View, entry: bytes) -> Iterator[Partition]:
    kind, start = entry[4], struct.unpack_from("<I", entry, 8)[0] * SECTOR_BYTES
    if kind in _MBR_EXTENDED:
        yield from _logical(disk, start)
    elif kind and start:
        yield Partition(start, efi=kind == _MBR_ESP)


def _logical(disk: view.View, start: int) -> Iterator[Partition]:
    """The chain inside an extended partition, which may lead in a circle."""
    at = start
    for _ in range(PARTITIONS_MAX):
        sector = disk.read(at, SECTOR_BYTES)
        if sector[510:512] != b"\x55\xaa":
            return
        (kind, own), (_, following) = (
            (sector[n + 4], struct.unpack_from("<I", sector, n + 8)[0] * SECTOR_BYTES)
            for n in (446, 462)
        )
        if kind and own:
            yield Partition(at + own, efi=kind == _MBR_ESP)
        if not following:
            return
        at = start + following


def _gpt(disk: view.View, code: bool) -> Table:
    for sector in _GPT_SECTORS:
        header = disk.read(sector, SECTOR_BYTES)
        if header[:8] == b"EFI PART":
            return _gpt_entries(disk, header, sector, code)
    return Table(())


def _gpt_entries(disk: view.View, header: bytes, sector: int, code: bool) -> Table:
    (at,) = struct.unpack_from("<Q", header, 72)
    count, size = struct.unpack_from("<II", header, 80)
    found, bios = [], False
    if not 128 <= size <= 4096:
        return Table(())
    data = disk.read(at * sector, min(count, _ENTRIES_MAX) * size)
    for n in range(0, len(data) - size + 1, size):
        kind = uuid.UUID(bytes_le=data[n : n + 16])
        start, _, flags = struct.unpack_from("<QQQ", data, n + 32)
        if not kind.int:
            continue
        bios = bios or kind == _BIOS_BOOT or (code and bool(flags & _LEGACY_BOOTABLE))
        if 0 < start * sector < disk.size:
            found.append(Partition(start * sector, efi=kind == _ESP))
    return Table(tuple(found[:PARTITIONS_MAX]), bios)
