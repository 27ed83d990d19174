"""Disks with guests on them, for tests of what is found by looking."""

import lzma
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

from imagesvc.testing.conformance import guest

TOOLS = Path(__file__).parent.parent / "tools"
RELEASE = 'PRETTY_NAME="Acme Linux 7 (Bolt)"\nNAME=Acme\nID=acme\nVERSION_ID="7.2"\n'
BOOT_CODE = b"\xfa\xeb\xfe"
_ISO_SECTOR = 2048
_CATALOG_SECTOR, _ROOT_SECTOR = 20, 19


def spark(folder: Path) -> Path:
    """The guest of the boot sector, raw; beside it the same as qcow2."""
    path = folder / "spark.raw"
    subprocess.run([TOOLS / "make-test-image", "spark", path], check=True, capture_output=True)
    return path


def windows(folder: Path) -> Path:
    """What `tools/make-test-image windows` made, raw."""
    path = folder / "windows.raw"
    path.write_bytes(lzma.decompress(Path(__file__).with_name("windows.raw.xz").read_bytes()))
    return path


def elf(machine: int, *, bits: int = 64, order: str = "<") -> bytes:
    """The head of a Linux program."""
    head = b"\x7fELF" + bytes([bits // 32, 1 if order == "<" else 2, 1]) + bytes(9)
    return (head + struct.pack(f"{order}HH", 2, machine)).ljust(256, b"\0")


def ext4(folder: Path, fill: Callable[[Path], None], *, mib: int = 4) -> bytes:
    """An ext4 volume with what `fill` puts into an empty folder."""
    tree, path = folder / "tree", folder / "volume"
    tree.mkdir()
    fill(tree)
    subprocess.run(
        ["/usr/sbin/mke2fs", "-q", "-F", "-t", "ext4", "-O", "^has_journal", "-N", "4096", "-d", tree, path, f"{mib}M"],
        check=True, capture_output=True,
    )  # fmt: skip
    return path.read_bytes()


def linux_tree(root: Path, machine: int = 62, *, virtio: bool = True) -> None:
    """What a distribution of today looks like: links of the root lead below usr."""
    for name in ("etc/cloud", "usr/bin", "usr/lib"):
        (root / name).mkdir(parents=True)
    for name in ("bin", "lib"):
        (root / name).symlink_to(f"usr/{name}")
    (root / "usr/lib/os-release").write_text(RELEASE)
    (root / "etc/os-release").symlink_to("../usr/lib/os-release")
    (root / "usr/bin/bash").write_bytes(elf(machine))
    drivers = root / "usr/lib/modules/6.1.0-acme/kernel/drivers"
    (drivers / "net").mkdir(parents=True)
    (drivers / "block").mkdir()
    (drivers / "net/e1000.ko").write_bytes(b"module")
    if virtio:
        (drivers / "net/virtio_net.ko.xz").write_bytes(b"module")
        (drivers / "block/virtio_blk.ko.xz").write_bytes(b"module")


def iso(label: str, platforms: tuple[int, ...] = ()) -> bytes:
    """An empty ISO 9660 disc whose boot catalog names these platforms (0: BIOS, 0xEF: UEFI)."""
    sectors = 24

    def both(value: int) -> bytes:
        return struct.pack("<I", value) + struct.pack(">I", value)

    def short(value: int) -> bytes:
        return struct.pack("<H", value) + struct.pack(">H", value)

    def record(name: bytes) -> bytes:
        body = both(_ROOT_SECTOR) + both(_ISO_SECTOR) + bytes([120, 1, 1, 0, 0, 0, 0, 2, 0, 0])
        return bytes([34, 0]) + body + short(1) + bytes([1]) + name

    primary = b"\1CD001\1\0" + b" " * 32 + label.encode().ljust(32) + bytes(8) + both(sectors)
    primary += bytes(32) + short(1) + short(1) + short(_ISO_SECTOR) + both(10)
    primary += struct.pack("<II", 21, 0) + struct.pack(">II", 22, 0)
    primary = (primary + record(b"\0")).ljust(881, b" ") + b"\1"
    boot = (
        b"\0CD001\1"
        + b"EL TORITO SPECIFICATION".ljust(64, b"\0")
        + struct.pack("<I", _CATALOG_SECTOR)
    )
    catalog = bytes([1, platforms[0] if platforms else 0]).ljust(30, b"\0") + b"\x55\xaa"
    for number, platform in enumerate(platforms):
        if number:
            catalog += bytes([0x91, platform, 1, 0]).ljust(32, b"\0")
        catalog += bytes([0x88]).ljust(32, b"\0")
    paths = (struct.pack(f"{order}BBIHBB", 1, 0, _ROOT_SECTOR, 1, 0, 0) for order in "<>")
    parts = {
        16: primary, 17: boot if platforms else b"", 18: b"\xffCD001\1", 21: next(paths), 22: next(paths),
        _ROOT_SECTOR: record(b"\0") + record(b"\1"), _CATALOG_SECTOR: catalog if platforms else b"",
    }  # fmt: skip
    return b"".join(parts.get(n, b"").ljust(_ISO_SECTOR, b"\0") for n in range(sectors))


def linux(folder: Path, machine: int = 62, loader: int = guest.X86_64, **tree: bool) -> bytes:
    """A Linux disk that UEFI starts."""
    system = guest.fat({"EFI/BOOT/BOOTX64.EFI": guest.pe(loader)})
    root = ext4(folder, lambda top: linux_tree(top, machine, **tree))
    return guest.gpt([(guest.ESP, system), (guest.DATA, root)])
