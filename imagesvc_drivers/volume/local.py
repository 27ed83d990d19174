"""Volumes as sparse raw files of one folder.

Servers on the same machine attach them by their path (connection protocol `file`). Any number of
service processes may use one state folder at once.
"""

import dataclasses
import datetime
import os
import time
from pathlib import Path
from typing import Any, BinaryIO

from oslo_config import cfg

from imagesvc.crashpoint import crashpoint
from imagesvc.interface import base, errors, volume
from imagesvc.interface.operation import Handle, Progress, ProgressState
from imagesvc.interface.volume import Volume, VolumeCapability, VolumeSpec, VolumeState
from imagesvc_drivers.client import disk_tool, image_fetch, snapshot_shelf, task
from imagesvc_drivers.volume import local_folder, local_task

_CLOSE_S = 5.0


class LocalVolume(volume.VolumeDriver):
    """One file a volume."""

    contract = base.Version(1, 0)
    OPTS = (
        cfg.StrOpt(
            "state_dir",
            default="${service.state_dir}/volume",
            help="Folder of volumes and their snapshots; needs room for them. All processes of "
            "the service share it, and compute of the same machine.",
        ),
        cfg.IntOpt("size_gib_max", default=1024, min=1, help="Largest size of one volume, in GiB."),
        cfg.IntOpt("create_count_max", default=100, min=1, help="Most volumes of one creation."),
        cfg.FloatOpt(
            "fetch_timeout_s",
            default=60.0,
            min=1.0,
            help="Seconds without a byte after which fetching an image is tried again.",
        ),
        cfg.FloatOpt(
            "lock_timeout_s",
            default=30.0,
            min=0.0,
            help="Seconds to wait for another action on the same volume before saying busy.",
        ),
    )

    def __init__(self, options: Any, *, backend_id: str) -> None:
        super().__init__(options, backend_id=backend_id)
        self._state_dir = Path(options.state_dir)
        if not self._state_dir.is_absolute():
            raise errors.InvalidConfiguration("Option state_dir needs an absolute path.")
        self._folders = local_folder.VolumeFolders(self._state_dir)
        self._shelf = snapshot_shelf.SnapshotShelf(
            self._state_dir / "snapshots", self._state_dir / "trash"
        )
        self._tool = disk_tool.DiskTool()
        tasks = (
            local_task.Creation(
                self._state_dir, self._folders, self._tool, options.fetch_timeout_s
            ),
            local_task.Snapshotting(self._folders, self._shelf, self._tool),
        )
        self._desk = task.Desk(self._state_dir / "operations", tasks)

    def open(self) -> None:
        """Make the folders and tidy up. Raises Unavailable."""
        try:
            self._folders.open()
            self._desk.open()
        except OSError as exc:
            raise errors.Unavailable("Volumes cannot be kept here.", str(exc)) from exc

    def close(self) -> None:
        """Wait a little for work in the background."""
        self._desk.close(_CLOSE_S)

    def info(self) -> base.DriverInfo:
        """Say what this driver is."""
        return base.DriverInfo(
            name="local",
            vendor="imagesvc",
            version="1.0",
            capabilities=frozenset({VolumeCapability.SNAPSHOT}),
            limits={
                "size_bytes_max": self.options.size_gib_max << 30,
                "create_count_max": self.options.create_count_max,
            },
        )

    def health(self) -> base.Health:
        """Look for the sandbox and a folder that can be written."""
        begun = time.perf_counter()
        try:
            self._tool.check()
            probe = self._state_dir / "work" / f".health-{os.getpid()}-{time.monotonic_ns()}"
            probe.touch()
            probe.unlink()
        except errors.DriverError as exc:
            return base.Health(base.HealthState.DOWN, exc.operator_message)
        except OSError as exc:
            return base.Health(base.HealthState.DOWN, str(exc))
        return base.Health(base.HealthState.OK, "", (time.perf_counter() - begun) * 1000)

    def get_volume(self, volume_id: str, *, project_id: str) -> Volume:
        """Describe one volume."""
        return _describe(self._folders.find(volume_id, project_id)[1])

    def list_volumes(
        self, project_id: str, *, after: str | None = None, limit: int = 100
    ) -> list[Volume]:
        """List a project's volumes ordered by id."""
        found: list[Volume] = []
        for folder in self._folders:
            if len(found) >= limit:
                break
            if after is not None and folder.volume_id <= after:
                continue
            known = folder.read()
            if known is None or known.project_id != project_id:
                continue
            if self._folders.is_made(folder):
                found.append(_describe(known))
        return found

    def start_create(self, spec: VolumeSpec, count: int, token: str) -> Handle:
        """Create `count` volumes."""
        for name, value, most in (
            ("count", count, self.options.create_count_max),
            ("size in bytes", spec.size_bytes, self.options.size_gib_max << 30),
        ):
            if not 1 <= value <= most:
                raise errors.InvalidArgument(f"The {name} {value} is not in 1..{most}.")
        if spec.source is not None:
            image_fetch.check(spec.source)
            disk_tool.check_format(spec.source.disk_format, "A volume")
            if spec.source.virtual_size_bytes > local_task.round_up(spec.size_bytes):
                raise errors.InvalidArgument(
                    f"The image's disk has {spec.source.virtual_size_bytes} bytes: the volume "
                    "must be at least as large."
                )
        return self._desk.start("create", token, local_task.Creation.body(spec, count))

    def delete_volume(self, volume_id: str, *, project_id: str) -> None:
        """Remove a volume that no server has."""
        try:
            folder, _ = self._folders.find(volume_id, project_id)
            with folder.lock(wait_s=self.options.lock_timeout_s):
                known = self._folders.find(volume_id, project_id)[1]
                if known.server_id is not None:
                    raise errors.Busy(
                        f"Volume {volume_id} is attached to server {known.server_id}."
                    )
                self._folders.remove(volume_id)
        except errors.NotFound:
            return

    def connect(self, volume_id: str, server_id: str, *, project_id: str) -> volume.Connection:
        """Give the volume to one server."""
        folder, _ = self._folders.find(volume_id, project_id)
        with folder.lock(wait_s=self.options.lock_timeout_s):
            known = self._folders.find(volume_id, project_id)[1]
            if known.server_id not in (None, server_id):
                raise errors.Busy(f"Volume {volume_id} is attached to server {known.server_id}.")
            folder.write(dataclasses.replace(known, server_id=server_id))
        crashpoint("volume.local.connected")
        return {
            "volume_id": volume_id, "protocol": "file", "path": str(folder.disk_path),
            "format": "raw",
        }  # fmt: skip

    def disconnect(self, volume_id: str, server_id: str, *, project_id: str) -> None:
        """Take it back from that server."""
        folder, _ = self._folders.find(volume_id, project_id)
        with folder.lock(wait_s=self.options.lock_timeout_s):
            known = self._folders.find(volume_id, project_id)[1]
            if known.server_id == server_id:
                folder.write(dataclasses.replace(known, server_id=None))

    def start_snapshot(self, volume_id: str, token: str, *, project_id: str) -> Handle:
        """Copy the volume as it is at this instant."""
        body: dict[str, Any] = {"volume_id": volume_id, "project_id": project_id}
        state = self._desk.state(self._desk.handle("snapshot", token))
        if state in (None, ProgressState.FAILED):  # else it is known, also where the volume is gone
            body["total_bytes"] = self._folders.find(volume_id, project_id)[1].size_bytes
        return self._desk.start("snapshot", token, body)

    def snapshot_size(self, snapshot_id: str) -> int:
        """Size of the raw disk."""
        return self._shelf.size(snapshot_id)

    def open_snapshot(self, snapshot_id: str, *, offset: int = 0) -> BinaryIO:
        """Read the raw bytes of a snapshot."""
        return self._shelf.open(snapshot_id, offset)

    def delete_snapshot(self, snapshot_id: str) -> None:
        """Remove a snapshot."""
        try:
            self._shelf.remove(snapshot_id)
        except errors.NotFound:
            return

    def poll(self, handle: Handle) -> Progress:
        """Go on with the work where nobody does, and say how far it is."""
        return self._desk.poll(handle)

    def cancel(self, handle: Handle) -> None:
        """Stop long work and undo it."""
        self._desk.cancel(handle)


def _describe(known: local_folder.VolumeRecord) -> Volume:
    return Volume(
        volume_id=known.volume_id,
        project_id=known.project_id,
        name=known.name,
        state=VolumeState.AVAILABLE if known.server_id is None else VolumeState.IN_USE,
        size_bytes=known.size_bytes,
        image_id=known.image_id,
        server_id=known.server_id,
        created_at=datetime.datetime.fromisoformat(known.created_at),
    )
