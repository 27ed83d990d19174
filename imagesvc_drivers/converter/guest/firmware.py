"""With which firmware a disk starts, and what its UEFI loader is made for."""

from typing import Any

from imagesvc_drivers.converter.guest import partition, program, view, volume

# Loaders that UEFI starts by itself (UEFI specification, 3.5.1.1), and that of Windows.
LOADERS = (
    "EFI/BOOT/BOOTX64.EFI",
    "EFI/BOOT/BOOTAA64.EFI",
    "EFI/BOOT/BOOTIA32.EFI",
    "EFI/BOOT/BOOTRISCV64.EFI",
    "EFI/Microsoft/Boot/bootmgfw.efi",
)


def look(disk: view.View, table: partition.Table) -> dict[str, Any]:
    """The firmwares that would start it, of "bios" and "uefi"; the loader's architecture."""
    boots = ["bios"] if table.bios else []
    for part in table.partitions:
        if part.efi and volume.kind_at(disk, part.offset) == "fat":
            there, machine = _loaders(disk, part.offset)
            if there:
                return {"firmware": [*boots, "uefi"], "architecture": machine}
    return {"firmware": boots}


def _loaders(disk: view.View, offset: int) -> tuple[bool, str | None]:
    try:
        return loaders(volume.Volume(disk, offset, "fat"))
    except OSError:  # no file system after all
        return False, None


def loaders(held: volume.Volume) -> tuple[bool, str | None]:
    """Whether a loader is there, and the architecture of the first whose head tells it."""
    found = False
    for path in LOADERS:
        head = held.read(path, program.HEAD_BYTES)
        if head is not None:
            found = True
            if machine := program.machine(head):
                return True, machine
    return found, None
