"""Servers as QEMU processes on this machine (QEMU 7.2 or later, QMP over unix sockets).

The processes belong to nobody: they outlive the service, which finds them again by the state
folder. Any number of service processes may use one state folder at once. Servers have no
network; their serial console is their door.
"""

import datetime
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from imagesvc.interface import base, compute, errors
from imagesvc.interface.compute import ComputeCapability, Server, ServerSpec, ServerState
from imagesvc.interface.operation import Handle, Progress
from imagesvc_drivers.compute.qemu import (
    attach,
    console,
    creation,
    host,
    operation_book,
    process,
    server_folder,
    snapshot,
)
from imagesvc_drivers.compute.qemu.option import OPTS

_ARCHITECTURES = frozenset({"x86_64", "x86", "amd64"})
_CLOSE_S = 5.0
_TOKEN_CHARS_MAX = 1024


class QemuCompute(compute.ComputeDriver):
    """One QEMU process a server."""

    contract = base.Version(1, 0)
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

    def open(self) -> None:
        """Make the folders and tidy up. Raises Unavailable."""
        self._host.open()
        self._book.drop_old()
        self._host.drop_unused_bases()

    def close(self) -> None:
        """Wait a little for work in the background; servers and their jobs run on."""
        self._crew.wait(_CLOSE_S)

    def info(self) -> base.DriverInfo:
        """Say what this driver is."""
        return base.DriverInfo(
            name="qemu",
            vendor="imagesvc",
            version="1.0",
            capabilities=frozenset(
                {
                    ComputeCapability.CONSISTENT_GROUP,
                    ComputeCapability.CONSOLE_WRITE,
                    ComputeCapability.ATTACH,
                }
            ),
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
        return _describe(*self._host.servers.find(server_id, project_id))

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
                found.append(_describe(folder, server))
        return found

    def start_create(self, spec: ServerSpec, count: int, token: str) -> Handle:
        """Create and start `count` servers."""
        self._check(spec, count, token)
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
        _refuse_quiesce(quiesce)
        return self._snapshotting.start(server_id, project_id, [disk_id], token)

    def start_group_snapshot(
        self, server_id: str, token: str, *, project_id: str, quiesce: bool = False
    ) -> Handle:
        """Snapshot all disks at one instant."""
        _refuse_quiesce(quiesce)
        return self._snapshotting.start(server_id, project_id, None, token)

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

    def _work(self, body: dict[str, Any]) -> creation.Creation | snapshot.Snapshotting:
        kinds: dict[str, creation.Creation | snapshot.Snapshotting] = {
            creation.Creation.KIND: self._creation,
            snapshot.Snapshotting.KIND: self._snapshotting,
        }
        return kinds[body["kind"]]

    def _lock(self, folder: server_folder.ServerFolder) -> Any:
        return folder.lock(wait_s=self.options.lock_timeout_s)

    def _check(self, spec: ServerSpec, count: int, token: str) -> None:
        """Raise InvalidArgument for what can be no server here."""
        options = self.options
        for name, value, most in (
            ("count", count, options.create_count_max),
            ("memory_mib", spec.memory_mib, options.memory_mib_max),
            ("vcpus", spec.vcpus, options.vcpus_max),
            ("number of disks", len(spec.disks), options.disks_max),
            ("token length", len(token), _TOKEN_CHARS_MAX),
        ):
            if not 1 <= value <= most:
                raise errors.InvalidArgument(f"The {name} {value} is not in 1..{most}.")
        if spec.architecture not in _ARCHITECTURES:
            raise errors.InvalidArgument(f"Servers here are x86_64, not {spec.architecture}.")
        for source in spec.disks:
            self._host.cache.check(source)


def _refuse_quiesce(quiesce: bool) -> None:
    if quiesce:
        raise errors.NotSupported("This compute backend cannot freeze a server's file systems.")


def _describe(folder: server_folder.ServerFolder, server: server_folder.ServerRecord) -> Server:
    known = folder.process()
    state = ServerState.BUILDING
    if server.built and known is not None:
        running = process.find(folder) is not None
        state = ServerState.RUNNING if running else ServerState.STOPPED
    return Server(
        server_id=server.server_id,
        project_id=server.project_id,
        name=server.name,
        state=state,
        os_type=server.os_type,
        architecture=server.architecture,
        disks=tuple(
            compute.ServerDisk(disk.disk_id, disk.size_bytes, boot=index == 0)
            for index, disk in enumerate(server.disks)
        ),
        image_id=server.image_id,
        created_at=datetime.datetime.fromisoformat(server.created_at),
        volumes=tuple(each.volume_id for each in attach.read(folder)),
        detail=f"accelerator {known['accelerator']}" if known else "",
    )
