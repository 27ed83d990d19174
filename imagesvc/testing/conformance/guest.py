"""Small disks that hold a guest's marks, made of bytes alone.

FAT: "FAT: General Overview of On-Disk Format" (Microsoft, 1.03), FAT12 with short names. GPT: UEFI
specification, 5.3; sums are left out, as readers of facts have no use for them.
"""

import struct
import uuid
from collections.abc import Iterable, Mapping
from typing import Any

SECTOR_BYTES = 512
ESP = uuid.UUID("c12a7328-f81f-11d2-ba4b-00a0c93ec93b")
BIOS_BOOT = uuid.UUID("21686148-6449-6e6f-744e-656564454649")
DATA = uuid.UUID("0fc63daf-8483-4772-8e79-3d69d8477de4")
X86_64, AARCH64 = 0x8664, 0xAA64
_FIRST_SECTOR = 2048
_CLUSTERS = 2000
_FAT_SECTORS = 6
_ROOT_ENTRIES = 112
_FOLDER, _ARCHIVE = 0x10, 0x20
_LAST = 0xFFF


def pe(machine: int) -> bytes:
    """The head of a Windows or UEFI program for a machine."""
    head = b"MZ".ljust(60, b"\0") + struct.pack("<I", 64)
    return (head + b"PE\0\0" + struct.pack("<H", machine)).ljust(1024, b"\0")


def fat(files: Mapping[str, bytes]) -> bytes:
    """A FAT12 volume of 1 MiB with these files; each part of a path is a short name."""
    return _Fat(files).image()


class _Fat:
    """Clusters of one sector, given out one after another."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self._clusters: list[bytes] = []
        self._next: list[int] = []
        tree: dict[str, Any] = {}
        for path, data in files.items():
            *folders, name = path.split("/")
            held = tree
            for folder in folders:
                held = held.setdefault(folder, {})
            held[name] = data
        self._root = self._entries(tree)

    def _entries(self, tree: Mapping[str, Any]) -> bytes:
        return b"".join(self._entry(name, held) for name, held in tree.items())

    def _entry(self, name: str, held: Any) -> bytes:
        folder = isinstance(held, dict)
        data = self._entries(held) if folder else held
        stem, _, ending = name.upper().partition(".")
        short = f"{stem:8.8}{ending:3.3}".encode()
        kind, size = (_FOLDER, 0) if folder else (_ARCHIVE, len(data))
        return struct.pack("<11sB14xHI", short, kind, self._store(data), size)

    def _store(self, data: bytes) -> int:
        first = len(self._clusters) + 2
        count = max(1, -(-len(data) // SECTOR_BYTES))
        self._clusters += [data[n * SECTOR_BYTES :][:SECTOR_BYTES] for n in range(count)]
        self._next += [*range(first + 1, first + count), _LAST]
        return first

    def image(self) -> bytes:
        root_sectors = _ROOT_ENTRIES * 32 // SECTOR_BYTES
        total = 1 + _FAT_SECTORS + root_sectors + _CLUSTERS
        boot = struct.pack(
            "<3s8sHBHBHHBHHHII", b"\xeb\x3c\x90", b"MSDOS5.0", SECTOR_BYTES, 1, 1, 1,
            _ROOT_ENTRIES, total, 0xF8, _FAT_SECTORS, 32, 2, 0, 0,
        )  # fmt: skip
        boot += struct.pack("<BBBI11s8s", 0x80, 0, 0x29, 1, b"NO NAME    ", b"FAT12   ")
        chain, table = [0xFF8, _LAST, *self._next], bytearray()
        for low, high in zip(chain[::2], [*chain[1::2], 0], strict=False):
            table += (low | high << 12).to_bytes(3, "little")
        parts = (
            (boot.ljust(510, b"\0") + b"\x55\xaa", 1), (bytes(table), _FAT_SECTORS),
            (self._root, root_sectors), (b"".join(one.ljust(SECTOR_BYTES, b"\0") for one in self._clusters), _CLUSTERS),
        )  # fmt: skip
        return b"".join(data.ljust(sectors * SECTOR_BYTES, b"\0") for data, sectors in parts)


def gpt(parts: Iterable[tuple[uuid.UUID, bytes]]) -> bytes:
    """A disk with a GPT and these partitions (kind, content), each on a MiB."""
    disk, entries = bytearray(_FIRST_SECTOR * SECTOR_BYTES), b""
    for kind, content in parts:
        start, sectors = len(disk) // SECTOR_BYTES, -(-len(content) // SECTOR_BYTES)
        entries += kind.bytes_le + uuid.uuid4().bytes_le
        entries += struct.pack("<QQQ72x", start, start + sectors - 1, 0)
        disk += content.ljust(-(-len(content) // (1 << 20)) << 20, b"\0")
    disk += bytes(1 << 20)
    whole = len(disk) // SECTOR_BYTES
    disk[446:512] = struct.pack("<4xB3xII48x", 0xEE, 1, whole - 1) + b"\x55\xaa"
    header = struct.pack("<8sIII4xQQQQ", b"EFI PART", 0x10000, 92, 0, 1, whole - 1, 34, whole - 34)
    header += uuid.uuid4().bytes_le + struct.pack("<QIII", 2, 128, 128, 0)
    disk[512 : 512 + len(header)] = header
    disk[1024 : 1024 + len(entries)] = entries
    return bytes(disk)


def mbr(parts: Iterable[tuple[int, bytes]], *, code: bytes = b"") -> bytes:
    """A disk with boot code and these partitions (kind, content), at most four, each on a MiB."""
    disk, entries = bytearray(_FIRST_SECTOR * SECTOR_BYTES), b""
    for kind, content in parts:
        start = len(disk) // SECTOR_BYTES
        disk += content.ljust(-(-len(content) // (1 << 20)) << 20, b"\0")
        entries += struct.pack("<4xB3xII", kind, start, len(disk) // SECTOR_BYTES - start)
    disk[: len(code)] = code
    disk[446:512] = entries.ljust(64, b"\0") + b"\x55\xaa"
    return bytes(disk)
