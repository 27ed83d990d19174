"""Snapshots: a raw file a disk, taken of a running or a stopped server.

Phases: `starting` (fix the instant), `copying` (QEMU's job runs, whoever polls, and copies what
the server has written over its base), `flattening` (to raw, in the background). A stopped server has no job: its overlay is flattened, and the
lock that qemu-img and QEMU put on the overlay keeps the server from starting meanwhile.
"""

import uuid
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from imagesvc.crashpoint import crashpoint
from imagesvc.interface import errors
from imagesvc.interface.compute import Consistency
from imagesvc.interface.operation import Handle, ProgressState
from imagesvc_drivers.client import operation_book, snapshot_shelf
from imagesvc_drivers.compute.qemu import (
    backup_job,
    host,
    image_tool,
    process,
    quiescence,
    server_folder,
)

_NAMESPACE = uuid.UUID("c6f4f8e5-52c4-4b39-8a3e-0d2a0b4c9e77")


class Snapshotting:
    """Work of the kind `snapshot`."""

    KIND = "snapshot"

    def __init__(
        self, place: host.Host, book: operation_book.OperationBook, crew: operation_book.Crew
    ) -> None:
        self._host = place
        self._book = book
        self._crew = crew
        self.shelf = snapshot_shelf.SnapshotShelf(
            place.state_dir / "snapshots", place.state_dir / "trash"
        )

    def start(
        self,
        server_id: str,
        project_id: str,
        disk_ids: Sequence[str] | None,
        token: str,
        *,
        group: bool = False,
        quiesce: bool = False,
    ) -> Handle:
        """Write the work down and fix the instant; `disk_ids` None means all.

        `group`: the result is a dict, also of one disk. `quiesce`: with the guest frozen.
        """
        handle = self._book.handle(self.KIND, token)
        if not self._book.begun(handle):  # else it goes on, also where the server is gone by now
            items = self._items(handle, server_id, project_id, disk_ids)
            size_bytes = sum(item["size_bytes"] for item in items)
            body = {
                "kind": self.KIND, "server_id": server_id, "project_id": project_id,
                "group": group, "quiesce": quiesce, "items": items, "phase": "starting",
                "done_bytes": 0, "total_bytes": size_bytes,
            }  # fmt: skip
            self._book.begin(handle, body)
        crashpoint("compute.qemu.snapshot_recorded")
        self.push(handle)
        return handle

    def _items(
        self, handle: Handle, server_id: str, project_id: str, disk_ids: Sequence[str] | None
    ) -> list[dict[str, Any]]:
        """What is written down of each disk. Raises NotFound, Busy."""
        _, server = self._host.servers.find(server_id, project_id)
        disks = {disk.disk_id: disk for disk in server.disks}
        for disk_id in disk_ids or ():
            if disk_id not in disks:
                raise errors.NotFound(f"Server {server_id} has no disk {disk_id}.")
        if not server.built:
            raise errors.Busy(f"Server {server_id} is still being built.")
        return [
            {
                "disk_id": disk_id,
                "file": disks[disk_id].file_name,
                "size_bytes": disks[disk_id].size_bytes,
                "base": disks[disk_id].base,
                "base_format": disks[disk_id].base_format,
                "snapshot_id": str(uuid.uuid5(_NAMESPACE, f"{handle}/{disk_id}")),
            }
            for disk_id in disk_ids or disks
        ]

    def push(self, handle: Handle) -> None:
        """Take the next short step here; leave the flattening to the background."""
        with self._book.hold(handle) as held:
            if held:
                self._guarded(handle, self._short_step)
        body = self._book.read(handle)
        if body["state"] == ProgressState.RUNNING and body["phase"] == "flattening":
            self._crew.put(handle, self._work)

    def _work(self, handle: Handle) -> None:
        with self._book.hold(handle) as held:
            if held:
                self._guarded(handle, self._flatten)

    def _guarded(self, handle: Handle, step: Any) -> None:
        """Run one step of work that is RUNNING; a failed or cancelled one leaves nothing."""
        body = self._book.read(handle)
        if body["state"] != ProgressState.RUNNING:
            return
        if not self._book.stop_asked(handle):
            with operation_book.recorded(self._book, handle, body, self._clean):
                step(handle, body)
        body = self._book.read(handle)
        if self._book.stop_asked(handle) and body["state"] == ProgressState.RUNNING:
            self._clean(body)
            self._book.save(handle, body | {"state": ProgressState.CANCELLED})

    def _short_step(self, handle: Handle, body: dict[str, Any]) -> None:
        if body["phase"] == "copying":
            self._look(handle, body)
        if body["phase"] == "starting":
            self._begin(handle, body)

    def _begin(self, handle: Handle, body: dict[str, Any]) -> None:
        folder = self._folder(body)
        backups = self._backups(body)
        with folder.lock(wait_s=self._host.options.lock_timeout_s):
            self._disks(body)
            for item in body["items"]:
                home = self.shelf.path(item["snapshot_id"])
                home.mkdir(mode=0o700, exist_ok=True)
                (home / "disk.raw").unlink(missing_ok=True)  # of a try at an earlier instant
            running = process.find(folder) is not None
            if running and not backup_job.jobs(self._socket(folder), backups):
                for backup, item in zip(backups, body["items"], strict=True):
                    self._host.create_file(
                        backup.target, backup.base, backup.base_format, item["size_bytes"]
                    )
                with quiescence.frozen(folder, body, self._saver(handle), self._agent_s):
                    backup_job.start(self._socket(folder), backups)
                    crashpoint("compute.qemu.snapshot_started")
            if running:
                quiescence.thaw(folder, body, self._saver(handle), self._agent_s)
            body |= {"phase": "copying" if running else "flattening", "live": running}
            self._book.save(handle, body)

    def _look(self, handle: Handle, body: dict[str, Any]) -> None:
        """See how far QEMU is. Jobs that went with their QEMU begin again."""
        folder = self._folder(body)
        backups = self._backups(body)
        with folder.lock(wait_s=self._host.options.lock_timeout_s):
            running = process.find(folder) is not None
            jobs = backup_job.jobs(self._socket(folder), backups) if running else {}
            if running:
                quiescence.thaw(folder, body, self._saver(handle), self._agent_s)
        if len(jobs) < len(backups):
            body["phase"] = "starting"
            return
        for job in jobs.values():
            if job.get("error"):
                full = "No space" in job["error"]
                kind = errors.NoSpace if full else errors.DriverError
                raise kind("The disk could not be copied.", job["error"])
        body["done_bytes"] = sum(_copied_bytes(jobs[backup.job]) for backup in backups) // 2
        if all(job["status"] == "concluded" for job in jobs.values()):
            body["phase"] = "flattening"
        self._book.save(handle, body)
        crashpoint("compute.qemu.snapshot_copied")

    def _flatten(self, handle: Handle, body: dict[str, Any]) -> None:
        folder = self._folder(body)
        if body["live"]:
            self._clear_jobs(folder, body)
        copied = self._disks(body)
        before, started = _written_at(folder, copied), False
        try:
            for disk, item in zip(copied, body["items"], strict=True):
                self._flatten_one(folder, disk, item, live=body["live"])
        except image_tool.InUse:
            if body["live"]:
                raise
            started = True
        if started or not (body["live"] or _written_at(folder, copied) == before):
            self._book.save(handle, body | {"phase": "starting"})
            return
        for item in body["items"]:
            consistency = quiescence.consistency(body) if body["live"] else Consistency.CRASH
            self.shelf.seal(item["snapshot_id"], item["size_bytes"], consistency)
        crashpoint("compute.qemu.snapshot_sealed")
        made = {item["disk_id"]: item["snapshot_id"] for item in body["items"]}
        result = made if body["group"] else next(iter(made.values()))
        done = {"state": ProgressState.DONE, "result": result, "done_bytes": body["total_bytes"]}
        self._book.save(handle, body | done)

    def _flatten_one(
        self,
        folder: server_folder.ServerFolder,
        disk: server_folder.DiskRecord,
        item: dict[str, Any],
        *,
        live: bool,
    ) -> None:
        home = self.shelf.path(item["snapshot_id"])
        source, name, base_format = folder.disk_path(disk), disk.base, disk.base_format
        if live:
            source = home / "disk.qcow2"
            name, base_format = item.get("base"), item.get("base_format", "raw")
        if not (live and (home / "disk.raw").exists()):
            self._host.tool.flatten(
                source, self._base(name), base_format, home / "disk.raw", item["size_bytes"]
            )

    def _base(self, name: str | None) -> Path | None:
        return None if name is None else self._host.cache.path(name)

    def _clean(self, body: dict[str, Any]) -> None:
        """End the jobs and remove what was copied. A server that is gone took its jobs along."""
        folder = self._host.servers.of(body["server_id"])
        if folder.path.exists():
            self._clear_jobs(folder, body)
        for item in body["items"]:
            self.shelf.remove(item["snapshot_id"])

    def _clear_jobs(self, folder: server_folder.ServerFolder, body: dict[str, Any]) -> None:
        with folder.lock(wait_s=self._host.options.lock_timeout_s):
            if process.find(folder) is not None:
                quiescence.thaw(folder, body, lambda _: None, self._agent_s)
                backup_job.clear(self._socket(folder), self._backups(body))

    @property
    def _agent_s(self) -> float:
        return float(self._host.options.agent_timeout_s)

    def _saver(self, handle: Handle) -> quiescence.Save:
        return lambda body: self._book.save(handle, body)

    def _folder(self, body: dict[str, Any]) -> server_folder.ServerFolder:
        return self._host.servers.find(body["server_id"], body["project_id"])[0]

    def _disks(self, body: dict[str, Any]) -> list[server_folder.DiskRecord]:
        """The disks to copy. Raises DriverError if a rebuild has put others in their place."""
        _, server = self._host.servers.find(body["server_id"], body["project_id"])
        disks = {disk.disk_id: disk for disk in server.disks}
        for item in body["items"]:
            # Work that an earlier release wrote down names no file.
            if item.get("file", "") not in ("", disks[item["disk_id"]].file_name):
                raise errors.DriverError(
                    f"Server {server.server_id} was rebuilt before its disks were copied."
                )
        return [disks[item["disk_id"]] for item in body["items"]]

    def _backups(self, body: dict[str, Any]) -> list[backup_job.Backup]:
        return [
            backup_job.Backup(
                item["disk_id"], item["snapshot_id"],
                self.shelf.path(item["snapshot_id"]) / "disk.qcow2",
                # Work that an earlier release wrote down names no base: it copies all.
                self._base(item.get("base")), item.get("base_format", "raw"),
            )
            for item in body["items"]
        ]  # fmt: skip

    @staticmethod
    def _socket(folder: server_folder.ServerFolder) -> Path:
        known = folder.process()
        if known is None:
            raise errors.Busy("The server is being started.")
        return Path(known["monitor"])


def bases(bodies: Iterable[dict[str, Any]]) -> set[str]:
    """Bases that work under way copies over, whatever becomes of the servers."""
    items = [item for body in bodies for item in body.get("items", ())]
    return {item["base"] for item in items if item.get("base")}


def _written_at(
    folder: server_folder.ServerFolder, disks: Iterable[server_folder.DiskRecord]
) -> list[int]:
    """When each disk was last written to: a server may run and stop between two copies."""
    return [folder.disk_path(disk).stat().st_mtime_ns for disk in disks]


def _copied_bytes(job: dict[str, Any]) -> int:
    return int(job["current-progress"])
