"""A server of Nova in the words of the contract."""

import datetime
from typing import Any

from imagesvc.interface.compute import Server, ServerDisk, ServerState
from imagesvc_drivers.compute.nova.image_facts import ImageFacts

GIB = 1 << 30
# Nova has no name for it: createImage copies the system disk, and no other.
ROOT = "root"

_STOPPED = frozenset({"SHUTOFF", "STOPPED", "SUSPENDED", "SHELVED", "SHELVED_OFFLOADED"})
_BUILDING = frozenset({"BUILD", "REBUILD"})
_FAILED = frozenset({"ERROR", "UNKNOWN"})


def state(server: Any) -> ServerState:
    """The state as images care for it: a paused or rescued server still runs."""
    if server.status in _FAILED:
        return ServerState.ERROR
    if server.status in _BUILDING:
        return ServerState.BUILDING
    return ServerState.STOPPED if server.status in _STOPPED else ServerState.RUNNING


def image_id(server: Any) -> str | None:
    """The image that it was made from; None where it boots from a volume."""
    return (server.image or None) and (server.image.id or None)


def fault(server: Any) -> str:
    """Why it is in ERROR."""
    return str((server.fault or {}).get("message", "")) if server.status in _FAILED else ""


def describe(server: Any, facts: ImageFacts) -> Server:
    """All of it; `facts` are those of its image."""
    source = image_id(server)
    return Server(
        server_id=server.id,
        project_id=server.project_id,
        name=server.name,
        state=state(server),
        os_type=facts.os_type,
        architecture=facts.architecture,
        disks=_disks(server, facts) if source else (),
        image_id=source,
        created_at=_moment(server.created_at),
        detail=fault(server),
        volumes=tuple(volume.id for volume in server.attached_volumes or ()),
    )


def _disks(server: Any, facts: ImageFacts) -> tuple[ServerDisk, ...]:
    """The system disk; swap and ephemeral disks are Nova's alone."""
    size_bytes = (server.flavor.disk or 0) * GIB or facts.size_bytes
    return (ServerDisk(ROOT, size_bytes, boot=True),)


def _moment(text: str | None) -> datetime.datetime | None:
    return None if text is None else datetime.datetime.fromisoformat(text).astimezone(datetime.UTC)
