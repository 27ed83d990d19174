"""The hardware section of an OVF descriptor: which disk hangs where, how much memory, which firmware.

Numbers of resource types are those of CIM_ResourceAllocationSettingData (DMTF DSP1041).
"""

import dataclasses
import re

from imagesvc.stream.format import refusal
from imagesvc.stream.ovf import Element

_PROCESSOR, _MEMORY, _DISK = "3", "4", "17"
_DRIVES = frozenset({"14", "15", "16"})  # for floppies and discs
_CONTROLLERS = frozenset({"5", "6", "7", "8", "20"})  # IDE, SCSI, FC, iSCSI, SATA and others
_ITEMS = ("Item", "StorageItem")
_PLACE = re.compile(r"(?:ovf:)?/{1,3}disk/(.+)")
_NUMBER = re.compile(r"[0-9]{1,9}")
_UNITS = re.compile(r"byte ?\* ?2 ?\^ ?([0-9]{1,2})")
_UNIT_WORDS = {"kilobytes": 10, "megabytes": 20, "gigabytes": 30, "kb": 10, "mb": 20, "gb": 30}
_MIB_POWER = 20
# VMware's word and VirtualBox's, both in small letters.
_FIRMWARES = {"efi": "uefi", "efi32": "uefi", "efi64": "uefi", "bios": "bios"}
_LAST = 1 << 30


@dataclasses.dataclass(frozen=True, slots=True)
class Hardware:
    """Ids of hard disks in the order of controllers and units, and of what lies in drives.

    None and empty: not said.
    """

    disk_ids: tuple[str, ...] = ()
    disc_ids: frozenset[str] = frozenset()
    vcpus: int | None = None
    memory_mib: int | None = None
    firmware: tuple[str, ...] = ()


def read(system: Element) -> Hardware:
    """Of the first hardware section of a virtual system. Raises UnsupportedImage."""
    section = system.first("VirtualHardwareSection")
    items = [one for one in section.children if one.name in _ITEMS] if section is not None else []
    # What is said of other sizes of the machine, or of bounds, is not what it was.
    items = [one for one in items if not {"configuration", "bound"} & one.attributes.keys()]
    return Hardware(
        disk_ids=_disk_ids(items),
        disc_ids=_disc_ids(items),
        vcpus=_count(items, _PROCESSOR),
        memory_mib=_memory_mib(items),
        firmware=_firmware(system),
    )


def _disk_ids(items: list[Element]) -> tuple[str, ...]:
    places = _controllers(items)
    found: list[tuple[tuple[int, ...], str]] = []
    for number, one in enumerate(items):
        if one.value("ResourceType") != _DISK:
            continue
        match = _PLACE.fullmatch(one.value("HostResource"))
        if match is None:
            raise refusal.unsafe("the OVF descriptor has a hard disk that is none of its disks.")
        controller = places.get(one.value("Parent"), (_LAST,))
        found.append(((*controller, _number(one, "AddressOnParent"), number), match[1]))
    ids = tuple(disk_id for _, disk_id in sorted(found))
    if len(set(ids)) < len(ids):
        raise refusal.unsafe("the OVF descriptor attaches a disk twice.")
    return ids


def _disc_ids(items: list[Element]) -> frozenset[str]:
    drives = (one for one in items if one.value("ResourceType") in _DRIVES)
    places = (_PLACE.fullmatch(one.value("HostResource")) for one in drives)
    return frozenset(match[1] for match in places if match is not None)


def _controllers(items: list[Element]) -> dict[str, tuple[int, ...]]:
    """Instance -> where it comes: kinds as they are first named, those of a kind by address."""
    kinds: list[str] = []
    places: dict[str, tuple[int, ...]] = {}
    for number, one in enumerate(items):
        kind = one.value("ResourceType")
        if kind in _CONTROLLERS:
            kinds += [kind] if kind not in kinds else []
            places[one.value("InstanceID")] = (kinds.index(kind), _number(one, "Address"), number)
    return places


def _number(item: Element, name: str) -> int:
    text = item.value(name)
    return int(text) if _NUMBER.fullmatch(text) else _LAST


def _count(items: list[Element], kind: str) -> int | None:
    for one in items:
        if one.value("ResourceType") == kind and _NUMBER.fullmatch(one.value("VirtualQuantity")):
            return int(one.value("VirtualQuantity")) or None
    return None


def _memory_mib(items: list[Element]) -> int | None:
    quantity = _count(items, _MEMORY)
    if quantity is None:
        return None
    units = next(one for one in items if one.value("ResourceType") == _MEMORY)
    text = units.value("AllocationUnits").lower()
    match = _UNITS.fullmatch(text)
    power = int(match[1]) if match else _UNIT_WORDS.get(text)
    if power is None or power > 40:
        return None
    return (quantity << power >> _MIB_POWER) or None


def _firmware(system: Element) -> tuple[str, ...]:
    for one in system.every("Config", "Firmware"):
        said = one.attributes
        value = said.get("value", "") if said.get("key") == "firmware" else said.get("type", "")
        if value.lower() in _FIRMWARES and (one.name == "Firmware" or "key" in said):
            return (_FIRMWARES[value.lower()],)
    return ()
