"""Servers as QEMU processes on this machine (QEMU 7.2 or later, QMP over unix sockets).

The processes belong to nobody: they outlive the service, which finds them again by the state
folder. Any number of service processes may use one state folder at once. Servers have no
network; their serial console is their door.
"""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from imagesvc.interface import base, compute, errors
from imagesvc.interface.compute import ComputeCapability, Consistency, Server, ServerSpec
from imagesvc.interface.image_source import ImageSource
from imagesvc.interface.operation import Handle, Progress
from imagesvc_drivers.client import operation_book
from imagesvc_drivers.compute.qemu import (
    attach,
    console,
    creation,
    creation_limit,
    host,
    process,
    rebuilding,
    server_folder,
    server_view,
    snapshot,
)
from imagesvc_drivers.compute.qemu.option import OPTS

_CAPABILITIES = frozenset(
    {
        ComputeCapability.CONSISTENT_GROUP,
        ComputeCapability.CONSOLE_WRITE,
        ComputeCapability.ATTACH,
        ComputeCapability.DATA_DISK,
        ComputeCapability.EMPTY_DISK,
        ComputeCapability.QUIESCE,
        ComputeCapability.REBUILD,
    }
)
_CLOSE_S = 5.0


Work = creation.Creation | snapshot.Snapshotting | rebuilding.Rebuilding


class QemuCompute(compute.ComputeDriver):
    """One QEMU process a server."""

    contract = base.Version(1, 3)
    OPTS = OPTS

    def __init__(self, options: Any, *, backend_id: str) -> None:
        super().__init__(options, backend_id=backend_id)
        if not Path(options.state_dir).is_absolute():
            raise errors.InvalidConfiguration("Option state_dir needs an absolute path.")
        self._host = host.Host(options)
        self._crew = operation_book.Crew()
        self._book = operation_book.OperationBook(self._host.state_dir / "operations")
        self._creation = creation.Creation(self._host, self._book, self._crew)
        self._snapshotting = snapshot.Snapshotting(self._host, self._book, self._crew)
        self._rebuilding = rebuilding.Rebuilding(self._host, self._book, self._crew)

    def open(self) -> None:
        """Make the folders and tidy up. Raises Unavailable."""
        self._host.open()
        self._book.drop_old()
        self._host.drop_unused_bases(snapshot.bases(self._book.running()))

    def close(self) -> None:
        """Wait a little for work in the background; servers and their jobs run on."""
        self._crew.wait(_CLOSE_S)

    def info(self) -> base.DriverInfo:
        """Say what this driver is."""
        return base.DriverInfo(
            name="qemu",
            vendor="imagesvc",
            version="1.0",
            capabilities=_CAPABILITIES,
            limits={
                "memory_mib_max": self.options.memory_mib_max,
                "vcpus_max": self.options.vcpus_max,
                "create_count_max": self.options.create_count_max,
                "console_write_bytes_max": console.WRITE_BYTES_MAX,
            },
        )

    def health(self) -> base.Health:
        """Look for QEMU, the sandbox and a state folder that can be written."""
        begun = time.perf_counter()
        try:
            self._host.probe()
        except errors.DriverError as exc:
            return base.Health(base.HealthState.DOWN, exc.operator_message)
        latency_ms = (time.perf_counter() - begun) * 1000
        return base.Health(base.HealthState.OK, self._host.describe(), latency_ms)

    def get_server(self, server_id: str, *, project_id: str) -> Server:
        """Describe one server."""
        return server_view.describe(*self._host.servers.find(server_id, project_id))

    def list_servers(
        self, project_id: str, *, after: str | None = None, limit: int = 100
    ) -> list[Server]:
        """List a project's servers ordered by id."""
        found: list[Server] = []
        for folder in self._host.servers:
            if len(found) >= limit:
                break
            if after is not None and folder.server_id <= after:
                continue
            server = folder.read()
            if server is not None and server.project_id == project_id:
                found.append(server_view.describe(folder, server))
        return found

    def start_create(self, spec: ServerSpec, count: int, token: str) -> Handle:
        """Create and start `count` servers."""
        creation_limit.check(spec, count, token, self.options)
        for source in spec.disks:
            self._host.cache.check(source)
        return self._creation.start(spec, count, token)

    def start_server(self, server_id: str, *, project_id: str) -> None:
        """Boot a stopped server."""
        folder, server = self._host.servers.find(server_id, project_id)
        if not server.built:
            raise errors.Busy(f"Server {server_id} is still being built.")
        with self._lock(folder):
            if not process.running(folder):
                self._host.launch(folder, server)

    def stop_server(self, server_id: str, *, project_id: str) -> None:
        """Power a server off, its disks flushed."""
        folder, server = self._host.servers.find(server_id, project_id)
        if not server.built:
            raise errors.Busy(f"Server {server_id} is still being built.")
        with self._lock(folder):
            process.end(folder, powerdown_s=self.options.powerdown_wait_s)

    def delete_server(self, server_id: str, *, project_id: str) -> None:
        """End a server and remove its disks."""
        try:
            folder, _ = self._host.servers.find(server_id, project_id)
            with self._lock(folder):
                self._host.discard(folder)
        except errors.NotFound:
            return

    def start_snapshot(
        self, server_id: str, disk_id: str, token: str, *, project_id: str, quiesce: bool = False
    ) -> Handle:
        """Copy one disk as it is at this instant."""
        return self._snapshotting.start(server_id, project_id, [disk_id], token, quiesce=quiesce)

    def start_group_snapshot(
        self, server_id: str, token: str, *, project_id: str, quiesce: bool = False
    ) -> Handle:
        """Snapshot all disks at one instant."""
        return self._snapshotting.start(
            server_id, project_id, None, token, group=True, quiesce=quiesce
        )

    def start_disks_snapshot(
        self,
        server_id: str,
        disk_ids: Sequence[str],
        token: str,
        *,
        project_id: str,
        quiesce: bool = False,
    ) -> Handle:
        """Snapshot several disks at one instant."""
        return self._snapshotting.start(
            server_id, project_id, disk_ids, token, group=True, quiesce=quiesce
        )

    def snapshot_consistency(self, snapshot_id: str) -> Consistency:
        """Whether the guest was frozen."""
        return self._snapshotting.shelf.consistency(snapshot_id)

    def snapshot_size(self, snapshot_id: str) -> int:
        """Size of the raw disk."""
        return self._snapshotting.shelf.size(snapshot_id)

    def open_snapshot(self, snapshot_id: str, *, offset: int = 0) -> BinaryIO:
        """Read the raw bytes of a snapshot."""
        return self._snapshotting.shelf.open(snapshot_id, offset)

    def delete_snapshot(self, snapshot_id: str) -> None:
        """Remove a snapshot."""
        try:
            self._snapshotting.shelf.remove(snapshot_id)
        except errors.NotFound:
            return

    def read_console(self, server_id: str, *, project_id: str, offset: int = 0) -> bytes:
        """Read the serial console's log."""
        folder, _ = self._host.servers.find(server_id, project_id)
        return console.read(folder.console_path, offset)

    def write_console(self, server_id: str, data: bytes, *, project_id: str) -> None:
        """Type `data` on the serial console, at most 64 KiB."""
        folder, _ = self._host.servers.find(server_id, project_id)
        if len(data) > console.WRITE_BYTES_MAX:
            raise errors.InvalidArgument(f"At most {console.WRITE_BYTES_MAX} bytes a call.")
        with self._lock(folder):
            known = folder.process()
            if known is None or process.find(folder) is None:
                raise errors.Unavailable(f"Server {server_id} is not running.")
            console.write(Path(known["console"]), data, timeout_s=self.options.console_timeout_s)

    def start_rebuild(
        self, server_id: str, source: ImageSource, token: str, *, project_id: str
    ) -> Handle:
        """Give a server a new system disk, its data disks kept."""
        return self._rebuilding.start(server_id, project_id, source, token)

    def forestall_rebuild(self, token: str) -> Handle | None:
        """Find a rebuild by its token, or see to it that it never begins."""
        kind = rebuilding.Rebuilding.KIND
        handle = self._book.handle(kind, token)
        return None if self._book.forestall(handle, {"kind": kind}) else handle

    def attach_volume(
        self, server_id: str, connection: Mapping[str, Any], *, project_id: str
    ) -> None:
        """Attach a volume by its connection."""
        folder, server = self._host.servers.find(server_id, project_id)
        if not server.built:
            raise errors.Busy(f"Server {server_id} is still being built.")
        attachment = attach.of(connection)
        with self._lock(folder):
            attach.add(folder, attachment, self.options.disks_max, process.socket(folder))

    def detach_volume(self, server_id: str, volume_id: str, *, project_id: str) -> None:
        """Detach a volume."""
        folder, _ = self._host.servers.find(server_id, project_id)
        with self._lock(folder):
            attach.remove(folder, volume_id, process.socket(folder), self.options.detach_wait_s)

    def poll(self, handle: Handle) -> Progress:
        """Go on with the work where nobody does, and say how far it is."""
        body = self._book.read(handle)
        if body["state"] == "running":
            self._work(body).push(handle)
            body = self._book.read(handle)
        return operation_book.progress(body)

    def cancel(self, handle: Handle) -> None:
        """Stop long work and undo it; `poll` says CANCELLED once that is through."""
        body = self._book.read(handle)
        if body["state"] == "running":
            self._book.ask_stop(handle)
            self._work(body).push(handle)

    def _work(self, body: dict[str, Any]) -> Work:
        works: tuple[Work, ...] = (self._creation, self._snapshotting, self._rebuilding)
        return next(work for work in works if body["kind"] == work.KIND)

    def _lock(self, folder: server_folder.ServerFolder) -> Any:
        return folder.lock(wait_s=self.options.lock_timeout_s)
