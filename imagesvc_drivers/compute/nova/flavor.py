"""Which flavor a new server gets."""

from collections.abc import Iterable
from typing import Any

from imagesvc.interface.compute import ServerSpec
from imagesvc_drivers.compute.nova.server_view import GIB


def choose(flavors: Iterable[Any], spec: ServerSpec, *, zero_disk: bool) -> Any | None:
    """The smallest that holds the server; None if none does.

    A flavor with a disk of 0 GiB gives a system disk as large as the image, if `zero_disk`.
    """
    needed = max(spec.disk_bytes, spec.disks[0].virtual_size_bytes)
    as_image = zero_disk and spec.disk_bytes <= spec.disks[0].virtual_size_bytes

    def fits(flavor: Any) -> bool:
        room = flavor.disk * GIB >= needed if flavor.disk else as_image
        return room and flavor.ram >= spec.memory_mib and flavor.vcpus >= spec.vcpus

    found = [flavor for flavor in flavors if fits(flavor) and not flavor.is_disabled]
    order = sorted(found, key=lambda each: (each.vcpus, each.ram, each.disk, each.id))
    return order[0] if order else None
