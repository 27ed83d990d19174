"""The folder of one server: its record, its disks, its console log, its lock.

servers/<server id>/server.json    what the server is (ServerRecord)
                    process.json   pid, start time and sockets of the running QEMU
                    disk0.qcow2    overlay over a base of the cache, or an empty disk
                    rebuild.json   the rebuild that was begun last
                    console.log    all that the serial console ever said
                    lock           one actor at a time: QMP and console take one client
"""

import contextlib
import dataclasses
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from imagesvc.interface import errors
from imagesvc_drivers.client import record


@dataclasses.dataclass(frozen=True, slots=True)
class DiskRecord:
    """One disk: an overlay over the file `base` of the cache, or without one.

    `file` is its name in the folder; records of the first release have none.
    """

    disk_id: str
    size_bytes: int
    base: str | None
    base_format: str
    file: str = ""

    @property
    def file_name(self) -> str:
        """The name of its file."""
        return self.file or f"{self.disk_id}.qcow2"


@dataclasses.dataclass(frozen=True, slots=True)
class ServerRecord:
    """What a server is. `built` once all its overlays stand."""

    server_id: str
    project_id: str
    name: str
    os_type: str
    architecture: str
    memory_mib: int
    vcpus: int
    created_at: str
    image_id: str | None
    handle: str
    disks: tuple[DiskRecord, ...]
    built: bool = False


class ServerFolder:
    """Paths and record of one server."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.server_id = path.name
        self.process_path = path / "process.json"
        self.pid_path = path / "qemu.pid"
        self.log_path = path / "qemu.log"
        self.console_path = path / "console.log"

    def disk_path(self, disk: DiskRecord) -> Path:
        """The file of a disk."""
        return self.path / disk.file_name

    def read(self) -> ServerRecord | None:
        """The record, or None if the server is gone."""
        body = record.read(self.path / "server.json")
        if body is None:
            return None
        body["disks"] = tuple(DiskRecord(**disk) for disk in body["disks"])
        return ServerRecord(**body)

    def write(self, server: ServerRecord) -> None:
        """Store the record durably."""
        body = dataclasses.asdict(server)
        for disk in body["disks"]:
            if not disk["file"]:  # unknown to processes of the first release, which may still run
                del disk["file"]
        record.write(self.path / "server.json", body)

    def process(self) -> dict[str, Any] | None:
        """What was written down when QEMU was started, or None."""
        return record.read(self.process_path)

    def lock(self, *, wait_s: float) -> contextlib.AbstractContextManager[None]:
        """Be the only actor on this server. Raises Busy, NotFound."""
        return record.lock(self.path / "lock", wait_s=wait_s)


class ServerFolders:
    """All servers of one state folder."""

    def __init__(self, root: Path, trash: Path) -> None:
        self._root = root
        self._trash = trash

    def make(self, server_id: str) -> ServerFolder:
        """The folder of a server, created if missing."""
        path = self._root / server_id
        path.mkdir(mode=0o700, exist_ok=True)
        record.sync_folder(self._root)
        return ServerFolder(path)

    def find(self, server_id: str, project_id: str) -> tuple[ServerFolder, ServerRecord]:
        """The folder and record of a project's server. Raises NotFound."""
        folder = self.of(server_id)
        server = folder.read()
        if server is None or server.project_id != project_id:
            raise errors.NotFound(f"No server {server_id} was found.")
        return folder, server

    def of(self, server_id: str) -> ServerFolder:
        """The folder that a server would have. Raises NotFound for what is no server id."""
        try:
            plain = str(uuid.UUID(server_id)) == server_id
        except ValueError:
            plain = False
        if not plain:
            raise errors.NotFound(f"No server {server_id} was found.")
        return ServerFolder(self._root / server_id)

    def __iter__(self) -> Iterator[ServerFolder]:
        """All folders ordered by server id."""
        for path in sorted(self._root.iterdir()):
            yield ServerFolder(path)

    def remove(self, folder: ServerFolder) -> None:
        """Remove a folder whose lock is held: out of sight in one step, then for good."""
        doomed = self._trash / f"{folder.server_id}.{uuid.uuid4().hex}"
        folder.path.rename(doomed)
        record.sync_folder(self._root)
        shutil.rmtree(doomed)
