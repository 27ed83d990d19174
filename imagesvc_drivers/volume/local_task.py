"""Long work of local volumes: making them, and copying them as they are at one instant."""

import dataclasses
import datetime
import shutil
import uuid
from pathlib import Path
from typing import Any

from imagesvc.crashpoint import crashpoint
from imagesvc.interface import errors
from imagesvc.interface.operation import Handle
from imagesvc.interface.volume import VolumeSpec
from imagesvc_drivers.client import disk_tool, image_fetch, snapshot_shelf
from imagesvc_drivers.client.task import Task, Work
from imagesvc_drivers.volume.local_folder import VolumeFolders, VolumeRecord

_NAMESPACE = uuid.UUID("0d6a7f5e-93a1-4b52-8a7c-6d1f5a0c2e94")
_SECTOR_BYTES = 512


class Creation(Task):
    """Making volumes: their ids follow from the handle, so a second try meets the same ones."""

    kind = "create"

    def __init__(
        self, state_dir: Path, folders: VolumeFolders, tool: disk_tool.DiskTool, fetch_s: float
    ) -> None:
        self._work = state_dir / "work"
        self._folders = folders
        self._tool = tool
        self._fetch_s = fetch_s

    @staticmethod
    def body(spec: VolumeSpec, count: int) -> dict[str, Any]:
        """What is written down of a creation."""
        fields = {
            field.name: getattr(spec, field.name)
            for field in dataclasses.fields(spec)
            if field.name != "source"
        }
        sources = [] if spec.source is None else [image_fetch.fields(spec.source)]
        return {
            "spec": fields | {"size_bytes": round_up(spec.size_bytes)}, "count": count,
            "sources": sources, "total_bytes": count * spec.size_bytes,
            "created_at": datetime.datetime.now(datetime.UTC).isoformat(),
        }  # fmt: skip

    def do(self, work: Work) -> list[str]:
        """Fetch the image once, then make each volume that is not there yet."""
        crashpoint("volume.local.create_recorded")
        image = self._fetch(work)
        made = []
        for index in range(work.body["count"]):
            work.progress(index * work.body["spec"]["size_bytes"])
            made.append(self._one(work, index, image))
        crashpoint("volume.local.created")
        shutil.rmtree(self._work / work.handle, ignore_errors=True)
        return made

    def undo(self, work: Work) -> None:
        """Remove all of them."""
        for index in range(work.body["count"]):
            self._folders.remove(volume_id(work.handle, index))
        shutil.rmtree(self._work / work.handle, ignore_errors=True)

    def _fetch(self, work: Work) -> tuple[Path, str] | None:
        if not work.sources:
            return None
        source = image_fetch.from_fields(work.sources[0])
        folder = self._work / work.handle
        folder.mkdir(mode=0o700, exist_ok=True)
        return image_fetch.bring(source, folder, self._fetch_s), source.disk_format

    def _one(self, work: Work, index: int, image: tuple[Path, str] | None) -> str:
        spec, count = work.body["spec"], work.body["count"]
        folder = self._folders.make(volume_id(work.handle, index), work.handle)
        if folder.read() is not None:
            return folder.volume_id
        if image is None:
            partial = folder.path / "disk.raw.partial"
            partial.touch(mode=0o600)
            disk_tool.finish(partial, folder.disk_path, spec["size_bytes"])
        else:
            with work.cancelling() as cancel:
                self._tool.to_raw(*image, folder.disk_path, spec["size_bytes"], cancel)
        crashpoint("volume.local.disk_written")
        name = spec["name"] if count == 1 else f"{spec['name']}-{index + 1}"
        fields = spec | {"name": name, "created_at": work.body["created_at"]}
        folder.write(VolumeRecord(volume_id=folder.volume_id, **fields))
        return folder.volume_id


class Snapshotting(Task):
    """Copying a volume that nobody writes to: qemu-img's lock keeps a server from starting to."""

    kind = "snapshot"

    def __init__(
        self,
        folders: VolumeFolders,
        shelf: snapshot_shelf.SnapshotShelf,
        tool: disk_tool.DiskTool,
    ) -> None:
        self._folders = folders
        self._shelf = shelf
        self._tool = tool

    def do(self, work: Work) -> str:
        """Copy it; one that a running server writes to is Busy."""
        crashpoint("volume.local.snapshot_recorded")
        folder, volume = self._folders.find(work.body["volume_id"], work.body["project_id"])
        made = snapshot_id(work.handle)
        home = self._shelf.path(made)
        home.mkdir(mode=0o700, exist_ok=True)
        target = home / "disk.raw"
        try:
            with work.cancelling() as cancel:
                self._tool.to_raw(folder.disk_path, "raw", target, volume.size_bytes, cancel)
        except disk_tool.InUse as exc:
            raise errors.DriverError(
                f"Volume {volume.volume_id} is written to by server {volume.server_id}: stop the "
                "server or detach the volume first.",
                exc.operator_message,
            ) from exc
        self._shelf.seal(made, volume.size_bytes)
        crashpoint("volume.local.snapshot_sealed")
        return made

    def undo(self, work: Work) -> None:
        """Remove what was copied."""
        self._shelf.remove(snapshot_id(work.handle))


def volume_id(handle: Handle, index: int) -> str:
    """The id of the `index`-th volume of a creation."""
    return str(uuid.uuid5(_NAMESPACE, f"{handle}/{index}"))


def snapshot_id(handle: Handle) -> str:
    """The id of the snapshot that this work makes."""
    return str(uuid.uuid5(_NAMESPACE, handle))


def round_up(size_bytes: int) -> int:
    """The size in whole sectors."""
    return -(-size_bytes // _SECTOR_BYTES) * _SECTOR_BYTES
