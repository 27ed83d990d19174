"""A virtual machine as somebody wrote it down: its disks, and what it wants."""

import dataclasses

from imagesvc.domain.guest import Guest

DISKS_MAX = 4  # the system disk and three more


@dataclasses.dataclass(frozen=True, slots=True)
class MachineDisk:
    """A disk of it: the file with its bytes, their format, and what packs them if anything does."""

    name: str
    disk_format: str
    packer: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Machine:
    """Its disks, the system disk first; `told` are claims about the guest, proven by nothing."""

    disks: tuple[MachineDisk, ...]
    told: Guest = dataclasses.field(default_factory=Guest)
