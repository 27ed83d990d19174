"""Rebuilding a server: another system disk beside the old one, then one write that changes over.

Until that write the server's record names the old disk, which is whole; after it the new one.
Whoever goes on after a kill sees by the record on which side of it the work is.
"""

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from imagesvc.crashpoint import crashpoint
from imagesvc.interface import errors
from imagesvc.interface.image_source import ImageSource
from imagesvc.interface.operation import Handle, ProgressState
from imagesvc_drivers.client import image_fetch, operation_book, record
from imagesvc_drivers.compute.qemu import (
    host,
    image_tool,
    monitor,
    process,
    server_folder,
    snapshot,
)

_MARK_CHARS = 16


class Rebuilding:
    """Work of the kind `rebuild`."""

    KIND = "rebuild"

    def __init__(
        self, place: host.Host, book: operation_book.OperationBook, crew: operation_book.Crew
    ) -> None:
        self._host = place
        self._book = book
        self._crew = crew

    def start(self, server_id: str, project_id: str, source: ImageSource, token: str) -> Handle:
        """Write the work down and begin. Raises Busy while the server is rebuilt already."""
        handle = self._book.handle(self.KIND, token)
        body = {
            "kind": self.KIND, "server_id": server_id, "project_id": project_id,
            "sources": [image_fetch.fields(source)], "done_bytes": 0,
            "total_bytes": source.size_bytes, "os_type": source.os_type,
        }  # fmt: skip
        if self._book.begun(handle):
            self._book.begin(handle, body)
        else:
            self._begin(handle, body, source)
        crashpoint("compute.qemu.rebuild_recorded")
        self.push(handle)
        return handle

    def _begin(self, handle: Handle, body: dict[str, Any], source: ImageSource) -> None:
        """Write new work down, one at a time of a server: else one that a kill had stopped would
        take away the disk of another that came later."""
        folder, _ = self._host.servers.find(body["server_id"], body["project_id"])
        with folder.lock(wait_s=self._host.options.lock_timeout_s):
            _, server = self._host.servers.find(body["server_id"], body["project_id"])
            if not server.built:
                raise errors.Busy(f"Server {server.server_id} is still being built.")
            self._host.cache.check(source)
            turn = folder.path / "rebuild.json"
            last = (record.read(turn) or {"handle": handle})["handle"]
            if last != handle and self._runs(last):
                raise errors.Busy(f"Server {server.server_id} is being rebuilt already.")
            record.write(turn, {"handle": handle})
            self._book.begin(handle, body)

    def _runs(self, handle: Handle) -> bool:
        try:
            return bool(self._book.read(handle)["state"] == ProgressState.RUNNING)
        except errors.NotFound:  # never begun, or forgotten
            return False

    def push(self, handle: Handle) -> None:
        """See to it that somebody works on it."""
        self._crew.put(handle, self._work)

    def _work(self, handle: Handle) -> None:
        with self._book.hold(handle) as held:
            if not held:
                return
            body = self._book.read(handle)
            if body["state"] != ProgressState.RUNNING:
                return
            with operation_book.recorded(self._book, handle, body), self._put_back(body):
                self._rebuild(handle, body)

    def _rebuild(self, handle: Handle, body: dict[str, Any]) -> None:
        source = image_fetch.from_fields(self._book.sources(handle)[0])
        base = self._host.cache.fetch(source)
        folder, _ = self._host.servers.find(body["server_id"], body["project_id"])
        with folder.lock(wait_s=self._host.options.lock_timeout_s):
            _, server = self._host.servers.find(body["server_id"], body["project_id"])
            old = server.disks[0]
            size_bytes = max(source.virtual_size_bytes, old.size_bytes)
            file = f"{old.disk_id}-{handle[-_MARK_CHARS:]}.qcow2"
            new = server_folder.DiskRecord(
                old.disk_id, image_tool.round_up(size_bytes), base, source.disk_format, file
            )
            if old.file_name != file:
                if self._book.stop_asked(handle):
                    self._settle(body, folder, server)
                    self._book.save(handle, body | {"state": ProgressState.CANCELLED})
                    return
                self._stop(handle, body, folder)
                self._host.create_disk(folder, new)
                crashpoint("compute.qemu.rebuild_made")
                server = dataclasses.replace(
                    server,
                    disks=(new, *server.disks[1:]),
                    image_id=source.image_id,
                    os_type=body.get("os_type") or server.os_type,
                )
                folder.write(server)
            crashpoint("compute.qemu.rebuild_changed")
            self._settle(body, folder, server)
        done = {"state": ProgressState.DONE, "result": server.server_id}
        self._book.save(handle, body | done | {"done_bytes": body["total_bytes"]})

    def _stop(
        self, handle: Handle, body: dict[str, Any], folder: server_folder.ServerFolder
    ) -> None:
        """Power the server off; that it ran is written down before. Raises Busy."""
        running = process.find(folder) is not None
        known = folder.process()
        jobs = running and known and monitor.command(Path(known["monitor"]), "query-jobs")
        if jobs or self._is_copied(folder):
            raise errors.Busy("The server's disks are being copied.")
        if "restart" not in body:
            body["restart"] = running
            self._book.save(handle, body)
        crashpoint("compute.qemu.rebuild_noted")
        process.end(folder, powerdown_s=self._host.options.powerdown_wait_s)
        crashpoint("compute.qemu.rebuild_stopped")

    def _is_copied(self, folder: server_folder.ServerFolder) -> bool:
        """Whether a copy of the server is under way, which a stopped one has no job of."""
        return any(
            body["kind"] == snapshot.Snapshotting.KIND and body["server_id"] == folder.server_id
            for body in self._book.running()
        )

    def _settle(
        self,
        body: dict[str, Any],
        folder: server_folder.ServerFolder,
        server: server_folder.ServerRecord,
    ) -> None:
        """Remove the disk files that the record does not name; boot a server that ran before."""
        named = {disk.file_name for disk in server.disks}
        for path in folder.path.glob("*.qcow2*"):
            if path.name not in named:
                path.unlink(missing_ok=True)
        if body.get("restart") and not process.running(folder):
            self._host.launch(folder, server)
        crashpoint("compute.qemu.rebuild_settled")

    @contextlib.contextmanager
    def _put_back(self, body: dict[str, Any]) -> Iterator[None]:
        """What goes wrong leaves the server with its old disk, and running if it did."""
        try:
            yield
        except errors.DriverError:
            folder = self._host.servers.of(body["server_id"])
            if folder.path.exists():
                with folder.lock(wait_s=self._host.options.lock_timeout_s):
                    server = folder.read()
                    if server is not None:
                        self._settle(body, folder, server)
            raise
