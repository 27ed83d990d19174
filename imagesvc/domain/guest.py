"""What was found by looking into a guest. It is told beside what callers say, never instead."""

import dataclasses
import enum
from collections.abc import Mapping
from typing import Any

import msgspec


class Detect(enum.StrEnum):
    """How far detection goes; each goes as far as the one before, and further."""

    OFF = "off"
    SHOW = "show"
    OWN = "own"
    ALL = "all"


@dataclasses.dataclass(frozen=True, slots=True)
class Guest:
    """Facts of the guest on a disk; None and empty: not known. The texts are a stranger's.

    `firmware` are those that would start the disk. `os_name` is for reading; `label` is a disc's.
    `machine_name`, `vcpus` and `memory_mib` are of the machine that an OVA is of.
    """

    os_type: str | None = None
    os_distro: str | None = None
    os_version: str | None = None
    os_name: str | None = None
    architecture: str | None = None
    firmware: tuple[str, ...] = ()
    virtio: bool | None = None
    cloud_init: bool | None = None
    label: str | None = None
    file_systems: tuple[str, ...] = ()
    machine_name: str | None = None
    vcpus: int | None = None
    memory_mib: int | None = None

    @property
    def attributes(self) -> dict[str, str]:
        """What is known, by the names that images have for it.

        A firmware is named if it is the only one and starts a system: boot code stands on many
        disks that hold none.
        """
        firmware = self.firmware[0] if self.os_type and len(self.firmware) == 1 else None
        named = {
            "os_type": self.os_type,
            "os_distro": self.os_distro,
            "os_version": self.os_version,
            "architecture": self.architecture,
            "hw_firmware_type": firmware,
        }
        return {name: value for name, value in named.items() if value is not None}


def completed(found: Guest | None, told: Guest) -> Guest | None:
    """What was found, and what only somebody told; None for nothing at all.

    Of several firmwares that start the disk the one is known with which its machine ran.
    """
    first = found or Guest()
    values = {
        field.name: getattr(first, field.name) or getattr(told, field.name)
        for field in dataclasses.fields(Guest)
    }
    if told.firmware and set(told.firmware) <= set(first.firmware):
        values["firmware"] = told.firmware
    # Drivers that are known to be missing are something that is known.
    values |= {"virtio": first.virtio, "cloud_init": first.cloud_init}
    made = Guest(**values)
    return made if made != Guest() else None


def plain(guest: Guest | None) -> dict[str, Any] | None:
    """A guest as a memo of a step keeps it."""
    return None if guest is None else dataclasses.asdict(guest)


def of(values: Mapping[str, Any] | None) -> Guest | None:
    """The guest of `plain`."""
    return None if values is None else msgspec.convert(values, Guest)


def text(guest: Guest | None) -> str | None:
    """A guest as a row keeps it."""
    return None if guest is None else msgspec.json.encode(guest).decode()


def of_text(words: str | None) -> Guest | None:
    """The guest of `text`."""
    return None if words is None else msgspec.json.decode(words, type=Guest)
