"""A Linux system on a volume: os-release(5), its programs, its kernel's modules, cloud-init."""

import shlex
from typing import Any

from imagesvc_drivers.converter.guest import program, volume

_RELEASE_BYTES_MAX = 64 << 10
_BUILTIN_BYTES_MAX = 256 << 10
_VALUE_LENGTH_MAX = 256
_KERNELS_MAX = 4
_RELEASES = ("etc/os-release", "usr/lib/os-release")
_PROGRAMS = ("usr/bin/bash", "bin/bash", "usr/bin/busybox", "bin/busybox", "bin/sh", "sbin/init")
_MODULES = "lib/modules"
_DRIVERS = {"virtio_blk": "block", "virtio_scsi": "scsi", "virtio_net": "net"}
_DISKS, _NETWORK = ("virtio_blk", "virtio_scsi"), "virtio_net"
_ENDINGS = (".ko", ".ko.xz", ".ko.zst", ".ko.gz")
_KEYS = {"ID": "os_distro", "VERSION_ID": "os_version", "PRETTY_NAME": "os_name"}


def look(held: volume.Volume) -> dict[str, Any]:
    """What is found; nothing if there is no os-release."""
    release = next(
        (data for path in _RELEASES if (data := held.read(path, _RELEASE_BYTES_MAX))), b""
    )
    if not release:
        return {}
    named = _release(release.decode(errors="replace"))
    heads = (held.read(path, program.HEAD_BYTES) for path in _PROGRAMS)
    machine = next((name for head in heads if head and (name := program.machine(head))), None)
    virtio = _virtio(held)
    return {
        "os_type": "linux",
        **named,
        "cloud_init": held.is_folder("etc/cloud"),
        **({"architecture": machine} if machine else {}),
        **({} if virtio is None else {"virtio": virtio}),
    }


def _release(text: str) -> dict[str, str]:
    found = {}
    for line in text.splitlines():
        name, _, value = line.strip().partition("=")
        if name in _KEYS:
            found[_KEYS[name]] = _unquoted(value)
    return {name: value for name, value in found.items() if 0 < len(value) <= _VALUE_LENGTH_MAX}


def _unquoted(value: str) -> str:
    try:
        words = shlex.split(value)
    except ValueError:  # quotes that do not end: then they belong to the value
        return value
    return words[0] if words else ""


def _virtio(held: volume.Volume) -> bool | None:
    """Whether a kernel has virtio for disks and network; None if no kernel's modules are there."""
    kernels = held.names(_MODULES)[:_KERNELS_MAX]
    if not kernels:
        return None
    return any(_has_virtio(held, f"{_MODULES}/{name}") for name in kernels)


def _has_virtio(held: volume.Volume, folder: str) -> bool:
    builtin = held.read(f"{folder}/modules.builtin", _BUILTIN_BYTES_MAX) or b""
    there = {
        name
        for name, place in _DRIVERS.items()
        if f"/{name}.ko".encode() in builtin
        or any(held.file(f"{folder}/kernel/drivers/{place}/{name}{ending}") for ending in _ENDINGS)
    }
    return _NETWORK in there and not there.isdisjoint(_DISKS)
