"""What can be a server here."""

from typing import Any

from imagesvc.interface import errors
from imagesvc.interface.compute import ServerSpec

_ARCHITECTURES = frozenset({"x86_64", "x86", "amd64"})
_TOKEN_CHARS_MAX = 1024


def check(spec: ServerSpec, count: int, token: str, options: Any) -> None:
    """Raise InvalidArgument for what can be no server here."""
    for name, value, most in (
        ("count", count, options.create_count_max),
        ("memory_mib", spec.memory_mib, options.memory_mib_max),
        ("vcpus", spec.vcpus, options.vcpus_max),
        ("number of disks", len(spec.disks) + len(spec.empty_disks), options.disks_max),
        ("token length", len(token), _TOKEN_CHARS_MAX),
    ):
        if not 1 <= value <= most:
            raise errors.InvalidArgument(f"The {name} {value} is not in 1..{most}.")
    if spec.architecture not in _ARCHITECTURES:
        raise errors.InvalidArgument(f"Servers here are x86_64, not {spec.architecture}.")
    _check_places(spec)


def _check_places(spec: ServerSpec) -> None:
    """Refuse empty disks that boot, have no size, or stand where no disk is before them."""
    count = len(spec.disks)
    for before, disk in enumerate(spec.empty_disks):
        behind = spec.empty_disks[before - 1].index if before else 0
        if not behind < disk.index <= count + before or not disk.size_bytes > 0 or not count:
            raise errors.InvalidArgument(f"An empty disk cannot be at place {disk.index}.")
