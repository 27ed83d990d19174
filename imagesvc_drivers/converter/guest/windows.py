"""A Windows system on a volume: its registry, its virtio drivers, Cloudbase-Init."""

import struct
from typing import Any

from imagesvc_drivers.converter.guest import registry, volume

_SYSTEM32 = "Windows/System32"
_CURRENT = "Microsoft\\Windows NT\\CurrentVersion"
_ENVIRONMENT = "Control\\Session Manager\\Environment"
_MACHINES = {"amd64": "x86_64", "x86": "i686", "arm64": "aarch64"}
_DISKS, _NETWORK = ("viostor.sys", "vioscsi.sys"), "netkvm.sys"
_CLOUDBASE = tuple(
    f"{programs}/Cloudbase Solutions/Cloudbase-Init"
    for programs in ("Program Files", "Program Files (x86)")
)
_ELEVEN = 22000  # the first build of Windows 11, whose registry goes on to say 10
_CLIENT, _NEXT = "Windows 10", "Windows 11"


def look(held: volume.Volume) -> dict[str, Any]:
    """What is found; nothing if there is no Windows."""
    software = _hive(held, "SOFTWARE")
    if software is None:
        return {}
    drivers = f"{_SYSTEM32}/drivers"
    disk = any(held.file(f"{drivers}/{name}") for name in _DISKS)
    found: dict[str, Any] = {
        "os_type": "windows",
        "os_distro": "windows",
        "virtio": disk and held.file(f"{drivers}/{_NETWORK}") is not None,
        "cloud_init": any(held.is_folder(path) for path in _CLOUDBASE),
        **_version(software),
    }
    system = _hive(held, "SYSTEM")
    machine = _machine(system) if system is not None else None
    return found | ({"architecture": machine} if machine else {})


def _hive(held: volume.Volume, name: str) -> registry.Hive | None:
    file = held.file(f"{_SYSTEM32}/config/{name}")
    try:
        return registry.Hive(file) if file is not None else None
    except (struct.error, ValueError):  # a file of that name, but no hive
        return None


def _value(hive: registry.Hive, key: str, name: str) -> str | int | None:
    try:
        return hive.value(key, name)
    except (struct.error, ValueError):  # the hive leads nowhere
        return None


def _version(software: registry.Hive) -> dict[str, str]:
    def text(name: str) -> str:
        value = _value(software, _CURRENT, name)
        return value if isinstance(value, str) else ""

    product, build = text("ProductName"), text("CurrentBuildNumber") or text("CurrentBuild")
    numbers = [
        _value(software, _CURRENT, f"Current{word}VersionNumber") for word in ("Major", "Minor")
    ]
    major, minor = (one for one in numbers)
    known = isinstance(major, int) and isinstance(minor, int)
    version = f"{major}.{minor}" if known else text("CurrentVersion")
    if build.isascii() and build.isdigit():
        version = f"{version}.{build}" if version else build
        if int(build[:9]) >= _ELEVEN and product.startswith(_CLIENT):
            product = product.replace(_CLIENT, _NEXT, 1)
    found = {"os_name": product, "os_version": version}
    return {name: value for name, value in found.items() if value}


def _machine(system: registry.Hive) -> str | None:
    current = _value(system, "Select", "Current")
    if not isinstance(current, int):
        return None
    key = f"ControlSet{current:03d}\\{_ENVIRONMENT}"
    value = _value(system, key, "PROCESSOR_ARCHITECTURE")
    return _MACHINES.get(value.casefold()) if isinstance(value, str) else None
