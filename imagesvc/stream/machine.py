"""The one machine that an OVF descriptor is of: its disks in order, and what it says of the guest."""

import re

from imagesvc.domain.guest import Guest
from imagesvc.domain.machine import DISKS_MAX, Machine, MachineDisk
from imagesvc.stream import descriptor, hardware
from imagesvc.stream.format import refusal
from imagesvc.stream.ovf import Element

_TEXT_LENGTH_MAX = 128
# What the URI of a disk's format has in it, in small letters; names of files where it says nothing.
_FORMATS = (
    ("vmdk", "vmdk"), ("linkid=137171", "vhd"), ("qcow", "qcow2"), ("vhdx", "vhdx"), ("vdi", "vdi"),
)  # fmt: skip
_ENDINGS = {
    "vmdk": "vmdk", "vhd": "vhd", "vhdx": "vhdx", "qcow2": "qcow2", "vdi": "vdi", "raw": "raw",
    "img": "raw",
}  # fmt: skip
# Operating systems by CIM's number (CIM_OperatingSystem, OSType), by what os-release calls them.
_DISTROS = {
    79: "rhel", 80: "rhel", 84: "sles", 85: "sles", 93: "ubuntu", 94: "ubuntu", 95: "debian",
    96: "debian", 106: "centos", 107: "centos", 108: "ol", 109: "ol",
}  # fmt: skip
_LINUX = frozenset({36, 82, 83, *range(86, 93), *range(97, 102), *_DISTROS})
_WINDOWS = frozenset({16, 17, 18, 58, 63, 67, *range(69, 78), 103, 105, *range(111, 121)})
_SYSTEM_WORDS = (
    ("windows", "windows"), ("linux", "linux"), ("ubuntu", "linux"), ("debian", "linux"),
    ("centos", "linux"), ("rhel", "linux"), ("redhat", "linux"), ("fedora", "linux"),
    ("sles", "linux"), ("suse", "linux"), ("oracle", "linux"), ("rocky", "linux"),
)  # fmt: skip
_SIXTY_FOUR = re.compile(r"64Guest$|_64$")


def describe(found: descriptor.Descriptor) -> Machine:
    """The machine. Raises UnsupportedImage for none, several, and one with other disks than we take."""
    systems = list(found.envelope.every("VirtualSystem", "VirtualSystemCollection"))
    if len(systems) != 1 or systems[0].name != "VirtualSystem":
        raise refusal.unsafe("the OVF descriptor must be of one virtual system.")
    parts = hardware.read(systems[0])
    hard = [one for one in found.disks if one.id not in parts.disc_ids]
    disks = tuple(_disk(found, one) for one in _ordered(hard, parts.disk_ids))
    if len({one.name for one in disks}) < len(disks):
        raise refusal.unsafe("two disks of the OVF descriptor are one file.")
    return Machine(disks, _told(systems[0], parts))


def _ordered(disks: list[descriptor.Disk], attached: tuple[str, ...]) -> list[descriptor.Disk]:
    known = {one.id: one for one in disks}
    if len(known) < len(disks):
        raise refusal.unsafe("two disks of the OVF descriptor have one id.")
    if not disks or set(attached) - known.keys():
        raise refusal.unsafe(
            "the OVF descriptor has a hard disk that is none of its disks, or none."
        )
    if attached and len(attached) < len(disks):
        raise refusal.unsafe("the OVF descriptor has disks that its machine does not have.")
    if len(disks) > DISKS_MAX:
        raise refusal.unsafe(f"the OVA has {len(disks)} disks; at most {DISKS_MAX} are taken.")
    return [known[one] for one in attached] or disks


def _disk(found: descriptor.Descriptor, disk: descriptor.Disk) -> MachineDisk:
    if not disk.file_id:
        raise refusal.unsafe("a disk of the OVF descriptor has no file.")
    file = found.files[disk.file_id]
    if file.packer not in ("", "gzip"):
        raise refusal.unsafe(f"{file.name} of the OVA is packed by something but gzip.")
    uri = disk.format.lower()
    disk_format = next((name for word, name in _FORMATS if word in uri), None)
    if disk_format is None:
        ending = file.name.removesuffix(".gz").rpartition(".")[2].lower()
        disk_format = _ENDINGS.get(ending)
    if disk_format is None:
        raise refusal.unsafe(f"the OVF descriptor does not tell of which format {file.name} is.")
    return MachineDisk(file.name, disk_format, file.packer)


def _told(system: Element, parts: hardware.Hardware) -> Guest:
    section = system.first("OperatingSystemSection")
    said = section.attributes if section is not None else {}
    number = int(said["id"]) if re.fullmatch(r"[0-9]{1,5}", said.get("id", "")) else 0
    boxed = section.value("OSType") if section is not None else ""
    word = said.get("osType") or boxed
    return Guest(
        os_type=_os_type(number, word),
        os_distro=_DISTROS.get(number),
        os_name=_text(section.value("Description") if section is not None else ""),
        architecture="x86_64" if _SIXTY_FOUR.search(word) else None,
        firmware=parts.firmware,
        machine_name=_text(system.value("Name") or system.attributes.get("id", "")),
        vcpus=parts.vcpus,
        memory_mib=parts.memory_mib,
    )


def _os_type(number: int, word: str) -> str | None:
    if number in _LINUX or number in _WINDOWS:
        return "linux" if number in _LINUX else "windows"
    return next((name for part, name in _SYSTEM_WORDS if part in word.lower()), None)


def _text(text: str) -> str | None:
    return text if 0 < len(text) <= _TEXT_LENGTH_MAX and text.isprintable() else None
