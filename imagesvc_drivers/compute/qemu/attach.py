"""Volumes attached to a server, while it runs and over its restarts.

    servers/<server id>/volumes.json   what is attached, in the order in which it came

The record is written first and QEMU follows it: a server that starts gets all of it, and an
attachment that a killed process left half done is finished by the next call, or taken back.
Commands: blockdev-add, device_add, device_del, qom-list of the QEMU QMP reference.
"""

import asyncio
import dataclasses
import functools
import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from imagesvc.crashpoint import crashpoint
from imagesvc.interface import errors
from imagesvc_drivers.client import record
from imagesvc_drivers.compute.qemu import monitor, server_folder

_POLL_S = 0.1
_FORMATS = frozenset({"raw", "qcow2"})
_SERIAL_CHARS = 20
_DEVICES = "/machine/peripheral"


@dataclasses.dataclass(frozen=True, slots=True)
class Attachment:
    """A volume in a file of this machine."""

    volume_id: str
    path: str
    format: str

    @property
    def node(self) -> str:
        """Name of the block node, under QEMU's 31 characters."""
        return f"w-{hashlib.sha256(self.volume_id.encode()).hexdigest()[:24]}"

    @property
    def device(self) -> str:
        """Id of the device."""
        return f"d{self.node}"

    def block(self) -> dict[str, Any]:
        """The block node; the format is stated and no name in a header is followed."""
        file = {"driver": "file", "filename": self.path}
        node = {"driver": self.format, "node-name": self.node, "file": file, "discard": "unmap"}
        return node | ({"backing": None} if self.format == "qcow2" else {})

    def properties(self) -> dict[str, Any]:
        """The device; its serial number lets guests find it."""
        return {
            "driver": "virtio-blk-pci", "drive": self.node, "id": self.device,
            "serial": self.volume_id[:_SERIAL_CHARS],
        }  # fmt: skip


def of(connection: Mapping[str, Any]) -> Attachment:
    """The attachment that a connection describes. Raises NotSupported, InvalidArgument."""
    if connection.get("protocol") != "file":
        raise errors.NotSupported(
            "This compute backend cannot attach volumes of that volume backend.",
            f"connection protocol {connection.get('protocol')!r}, only file is known",
        )
    if connection["format"] not in _FORMATS:
        raise errors.InvalidArgument(f"A {connection['format']} file cannot be attached.")
    return Attachment(connection["volume_id"], connection["path"], connection["format"])


def read(folder: server_folder.ServerFolder) -> tuple[Attachment, ...]:
    """What is attached to a server."""
    body = record.read(folder.path / "volumes.json") or {"volumes": []}
    return tuple(Attachment(**each) for each in body["volumes"])


def arguments(folder: server_folder.ServerFolder) -> list[str]:
    """Words of QEMU's command line for a server that starts."""
    argv: list[str] = []
    for each in read(folder):
        words = [f"{key}={value}" for key, value in each.properties().items() if key != "driver"]
        argv += ["-blockdev", json.dumps(each.block())]
        argv += ["-device", ",".join(["virtio-blk-pci", *words])]
    return argv


def add(
    folder: server_folder.ServerFolder,
    attachment: Attachment,
    disks_max: int,
    socket: Path | None,
) -> None:
    """Attach; attached already is success. The folder is locked; `socket` is that of a running QEMU.

    Raises InvalidArgument if the server has too many disks, Busy if something uses the file.
    """
    known = read(folder)
    if attachment not in known:
        server = folder.read()
        if len(known) + (len(server.disks) if server else 0) >= disks_max:
            raise errors.InvalidArgument(f"A server has at most {disks_max} disks.")
        _write(folder, [*known, attachment])
    crashpoint("compute.qemu.attach_recorded")
    if socket is None:
        return
    try:
        monitor.visit(socket, functools.partial(_plug, attachment=attachment))
    except monitor.CommandRefused as exc:
        # Without an answer QEMU may have the volume, so that it stays in the record.
        _write(folder, known)
        if '" lock' in exc.operator_message:
            raise errors.Busy(
                f"Volume {attachment.volume_id} is in use.", exc.operator_message
            ) from exc
        raise
    crashpoint("compute.qemu.attached")


def remove(
    folder: server_folder.ServerFolder, volume_id: str, socket: Path | None, wait_s: float
) -> None:
    """Detach; not attached is success. Raises Busy if a running guest does not let go of it."""
    if socket is not None:
        # By name, whatever the record says: it may have been lost where QEMU's answer was.
        act = functools.partial(_unplug, attachment=Attachment(volume_id, "", ""), wait_s=wait_s)
        if not monitor.visit(socket, act, timeout_s=wait_s + 20):
            raise errors.Busy(
                f"The guest does not let go of volume {volume_id}: stop the server first."
            )
    crashpoint("compute.qemu.detached")
    known = read(folder)
    rest = [each for each in known if each.volume_id != volume_id]
    if len(rest) < len(known):
        _write(folder, rest)


def _write(folder: server_folder.ServerFolder, attachments: Sequence[Attachment]) -> None:
    body = {"volumes": [dataclasses.asdict(each) for each in attachments]}
    record.write(folder.path / "volumes.json", body)


async def _plug(execute: monitor.Execute, attachment: Attachment) -> None:
    """Add what is missing; on failure take away what was added."""
    if attachment.device in await _devices(execute):
        return
    if attachment.node not in await _nodes(execute):
        await execute("blockdev-add", **attachment.block())
    try:
        await execute("device_add", **attachment.properties())
    except Exception:  # the node would keep the file locked
        await execute("blockdev-del", node_name=attachment.node)
        raise


async def _unplug(execute: monitor.Execute, attachment: Attachment, wait_s: float) -> bool:
    """Ask the guest to let go, wait until it did, close the file; whether it did."""
    deadline = time.monotonic() + wait_s
    if attachment.device in await _devices(execute):
        # Refused where it was asked before and has not answered yet.
        await _tried(execute, "device_del", id=attachment.device)
    while attachment.node in await _nodes(execute):
        # Refused as long as the device, or what is left of it, holds the node.
        gone = attachment.device not in await _devices(execute)
        if gone and await _tried(execute, "blockdev-del", node_name=attachment.node):
            break
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(_POLL_S)
    return True


async def _tried(execute: monitor.Execute, name: str, **arguments: Any) -> bool:
    try:
        await execute(name, **arguments)
    except monitor.Refused:
        return False
    return True


async def _nodes(execute: monitor.Execute) -> set[str]:
    return {node["node-name"] for node in await execute("query-named-block-nodes", flat=True)}


async def _devices(execute: monitor.Execute) -> set[str]:
    return {each["name"] for each in await execute("qom-list", path=_DEVICES)}
