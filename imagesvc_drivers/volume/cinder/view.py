"""A volume of Cinder as images see it."""

import datetime
from collections.abc import Mapping

from imagesvc.interface import volume
from imagesvc.interface.volume import VolumeState
from imagesvc_drivers.volume.cinder.client import IMAGE, MADE, WORK, Volume

GIB = 1 << 30
_MAKING = frozenset({"creating", "downloading", "restoring-backup"})
_USED = frozenset({"in-use", "reserved", "attaching", "detaching"})


def is_of(found: Volume, project_id: str) -> bool:
    """Whether the project owns it."""
    return found.get("os-vol-tenant-attr:tenant_id") == project_id


def is_gone(found: Volume) -> bool:
    """Whether it is being removed."""
    return bool(found["status"] == "deleting")


def is_made(found: Volume) -> bool:
    """Whether the creation that makes it is through; until then it may be undone."""
    marks = found["metadata"]
    return WORK not in marks or MADE in marks


def describe(found: Volume, project_id: str, servers: Mapping[str, str]) -> volume.Volume:
    """A volume; `servers` is who has which (volume: server)."""
    server_id = servers.get(found["id"])
    state = _state(found["status"], server_id)
    kept = found.get("volume_image_metadata") or {}
    return volume.Volume(
        volume_id=found["id"],
        project_id=project_id,
        name=found.get("name") or "",
        state=state,
        size_bytes=found["size"] * GIB,
        image_id=kept.get("image_id") or found["metadata"].get(IMAGE),
        server_id=server_id,
        created_at=_time(found.get("created_at")),
        detail="" if state == found["status"] else f"Cinder says {found['status']}.",
    )


def _state(status: str, server_id: str | None) -> VolumeState:
    if status.startswith("error"):
        return VolumeState.ERROR
    if status in _USED or server_id is not None:
        return VolumeState.IN_USE
    return VolumeState.CREATING if status in _MAKING else VolumeState.AVAILABLE


def _time(text: str | None) -> datetime.datetime | None:
    return None if text is None else datetime.datetime.fromisoformat(text).replace(
        tzinfo=datetime.UTC
    )  # fmt: skip
