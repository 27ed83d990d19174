"""QEMU's command line for one server.

Own node names, every format stated, backing nodes given here and never read from a header.
Bases are opened read-only and without a lock of their own: they are immutable.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from imagesvc_drivers.compute.qemu import accelerator, guest_agent, server_folder

_SANDBOX = "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"
SOCKET_BYTES_MAX = 107
SERIAL_BYTES_MAX = 20  # VIRTIO_BLK_T_GET_ID, Virtual I/O Device specification, 5.2.6


def sockets(runtime_dir: Path, server_id: str) -> dict[str, str]:
    """Paths of the monitor, console and agent sockets, short whatever the state folder is."""
    key = hashlib.sha256(server_id.encode()).hexdigest()[:24]
    ends = {"monitor": "m", "console": "c", "agent": "a"}
    return {name: str(runtime_dir / f"{key}.{end}") for name, end in ends.items()}


def base_node(path: Path, disk_format: str) -> dict[str, Any]:
    """A base as a block node; a backing file named by its header is not followed."""
    node: dict[str, Any] = {
        "driver": disk_format,
        "read-only": True,
        "file": {"driver": "file", "filename": str(path), "read-only": True},
    }
    if disk_format == "qcow2":
        node["backing"] = None
    return node


def overlay_node(path: Path, base: dict[str, Any] | None) -> dict[str, Any]:
    """An overlay of ours over a base, or a disk of its own."""
    return {"driver": "qcow2", "file": {"driver": "file", "filename": str(path)}, "backing": base}


def serial(disk: server_folder.DiskRecord) -> str:
    """What the guest reads as the disk's serial number, of at most 20 bytes.

    It follows from the place alone, so that a guest that was restored finds its disks by it.
    """
    return disk.disk_id[:SERIAL_BYTES_MAX]


def build(
    binary: str,
    accelerator_name: str,
    folder: server_folder.ServerFolder,
    server: server_folder.ServerRecord,
    cache: Path,
    paths: dict[str, str],
) -> list[str]:
    """The argument list; the guest stays halted until `cont`."""
    argv = [binary, "-name", f"imagesvc-{server.server_id}", "-uuid", server.server_id]
    argv += ["-nodefaults", "-no-user-config", "-display", "none", "-machine", "pc"]
    argv += [*accelerator.ARGUMENTS[accelerator_name], "-sandbox", _SANDBOX]
    argv += ["-m", str(server.memory_mib), "-smp", str(server.vcpus)]
    for index, disk in enumerate(server.disks):
        base = base_node(cache / disk.base, disk.base_format) if disk.base else None
        node = overlay_node(folder.disk_path(disk), base)
        node |= {"node-name": disk.disk_id, "discard": "unmap"}
        argv += ["-blockdev", json.dumps(node), "-device"]
        device = f"virtio-blk-pci,drive={disk.disk_id},id=v-{disk.disk_id}"
        argv += [f"{device},serial={serial(disk)},bootindex={index + 1}"]
    # Behind the disks, whose addresses stay as they are in servers without it.
    argv += ["-device", "virtio-serial-pci,id=ser"]
    argv += ["-chardev", f"socket,id=qga,path={_value(paths['agent'])},server=on,wait=off"]
    argv += ["-device", f"virtserialport,bus=ser.0,chardev=qga,name={guest_agent.PORT}"]
    argv += ["-chardev", f"socket,id=mon,path={_value(paths['monitor'])},server=on,wait=off"]
    argv += ["-mon", "chardev=mon,mode=control"]
    console = f"socket,id=con,path={_value(paths['console'])},server=on,wait=off"
    argv += ["-chardev", f"{console},logfile={_value(str(folder.console_path))},logappend=on"]
    argv += ["-serial", "chardev:con", "-pidfile", str(folder.pid_path), "-S"]
    return argv


def _value(text: str) -> str:
    return text.replace(",", ",,")
