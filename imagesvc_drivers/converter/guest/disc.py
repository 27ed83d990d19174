"""Discs: ISO 9660 (ECMA-119) with El Torito (its specification, version 1.0)."""

import struct
from typing import Any

from imagesvc_drivers.converter.guest import firmware, view, volume

_SECTOR_BYTES = 2048
_FIRST_SECTOR = 16
_DESCRIPTORS_MAX = 16
_PRIMARY, _BOOT, _END = 1, 0, 255
_TORITO = b"EL TORITO SPECIFICATION"
_PLATFORMS = {0: "bios", 0xEF: "uefi"}
_BOOTABLE = 0x88
_SECTION_HEADS = (0x90, 0x91)


def look(disk: view.View) -> dict[str, Any]:
    """Its label and the firmwares that would start it."""
    found: dict[str, Any] = {}
    for sector in range(_FIRST_SECTOR, _FIRST_SECTOR + _DESCRIPTORS_MAX):
        head = disk.read(sector * _SECTOR_BYTES, _SECTOR_BYTES)
        if len(head) < _SECTOR_BYTES or head[1:6] != b"CD001" or head[0] == _END:
            break
        if head[0] == _PRIMARY and (label := head[40:72].decode(errors="replace").strip(" \0")):
            found.setdefault("label", label)
        if head[0] == _BOOT and head[7:39].rstrip(b"\0") == _TORITO:
            found["firmware"] = _catalog(disk, struct.unpack_from("<I", head, 71)[0])
    return found


def loader(disk: view.View) -> dict[str, Any]:
    """The architecture of a UEFI loader on it."""
    return {"architecture": firmware.loaders(volume.Volume(disk, 0, "iso9660"))[1]}


def _catalog(disk: view.View, sector: int) -> list[str]:
    """The platforms for which the boot catalog has something bootable."""
    data = disk.read(sector * _SECTOR_BYTES, _SECTOR_BYTES)
    found = set()
    platform = data[1] if len(data) == _SECTOR_BYTES and data[0] == 1 else None
    for n in range(32, len(data) - 31, 32):
        if data[n] in _SECTION_HEADS:
            platform = data[n + 1]
        elif data[n] == _BOOTABLE and platform in _PLATFORMS:
            found.add(_PLATFORMS[platform])
    return sorted(found)
