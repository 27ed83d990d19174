"""Backup drivers: whole servers as they were at one instant, kept apart from server and images.

A backup comes about in one of two ways, of which a driver offers at least one. A service that sees
servers by itself makes it on demand (SEES_SERVERS). One that does not is handed the disks, which
imagesvc copies from the compute backend (TAKES_DISKS). A server comes back likewise: the service
makes it (RESTORE), or imagesvc hands the disks that `open_disk` reads to the compute backend.
"""

import abc
import contextlib
import dataclasses
import datetime
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from imagesvc.interface import base, errors
from imagesvc.interface.compute import Consistency
from imagesvc.interface.operation import Handle, Progress

VERSION = base.Version(1, 0)


class BackupCapability(base.Capability):
    """What a backup driver may offer beyond the required methods.

    INCREMENTAL tells operators that a backup holds only what changed since the one before; each
    reads whole all the same, whatever becomes of the others.
    """

    SEES_SERVERS = "sees-servers"
    TAKES_DISKS = "takes-disks"
    RESTORE = "restore"
    LOCAL_FILE = "local-file"
    INCREMENTAL = "incremental"


@dataclasses.dataclass(frozen=True, slots=True)
class BackupDisk:
    """One disk; `boot` marks the system disk. `digest` is the SHA-512 of its raw bytes in hex,
    empty if nobody knows it: without one, only a driver with RESTORE can make a server of it.
    """

    disk_id: str
    size_bytes: int
    boot: bool
    digest: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Backup:
    """A backup that is whole; its disks in the order of the server's, the system disk first.

    `memory_mib` is what the server had, None if nobody knows.
    """

    backup_id: str
    project_id: str
    name: str
    server_id: str
    disks: tuple[BackupDisk, ...]
    os_type: str = "linux"
    architecture: str = "x86_64"
    memory_mib: int | None = None
    consistency: Consistency = Consistency.CRASH
    created_at: datetime.datetime | None = None
    detail: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class BackupSpec:
    """What to back up. `quiesce` asks that file systems be frozen inside the guest meanwhile."""

    name: str
    project_id: str
    server_id: str
    os_type: str = "linux"
    architecture: str = "x86_64"
    memory_mib: int | None = None
    quiesce: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class RestoreSpec:
    """The server to make of a backup; `memory_mib` in MiB."""

    name: str
    project_id: str
    memory_mib: int = 64
    vcpus: int = 1


class DiskWriter(contextlib.AbstractContextManager["DiskWriter"]):
    """One disk on its way into a backup; leaving it without `commit` drops what was written."""

    @abc.abstractmethod
    def write(self, data: bytes, /) -> object:
        """Take the next raw bytes. Raises NoSpace, NotFound if the backup was deleted."""

    @abc.abstractmethod
    def commit(self) -> None:
        """Make the disk durable, in place of one written before. Raises NotFound, NoSpace."""

    @abc.abstractmethod
    def close(self) -> None:
        """Drop what was not committed; safe to repeat."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class BackupDriver(base.Driver):
    """Backups. A backup of another project is NotFound, and so is one that is not whole yet."""

    @abc.abstractmethod
    def get_backup(self, backup_id: str, *, project_id: str) -> Backup:
        """Describe one backup. Raises NotFound."""

    @abc.abstractmethod
    def list_backups(
        self, project_id: str, *, after: str | None = None, limit: int = 100
    ) -> list[Backup]:
        """List a project's backups ordered by id, those after the id `after`."""

    @abc.abstractmethod
    def delete_backup(self, backup_id: str, *, project_id: str) -> None:
        """Remove a backup, whole or not; one that is gone is success. Others stay whole."""

    @abc.abstractmethod
    def open_disk(self, backup_id: str, disk_id: str, *, offset: int = 0) -> BinaryIO:
        """Read the raw bytes of a disk from `offset`, a chain presented flat.

        Raises NotFound, InvalidArgument.
        """

    def path(self, backup_id: str, disk_id: str) -> Path:
        """The file of this machine that holds the raw bytes (LOCAL_FILE). Raises NotFound."""
        raise errors.NotSupported("This backup backend has no files.")

    def start_create(self, spec: BackupSpec, token: str) -> Handle:
        """Back a server up, all disks at one instant (SEES_SERVERS). Result: the backup id (str).

        Raises NotFound for a server that the service does not see.
        """
        raise errors.NotSupported("This backup backend does not copy servers by itself.")

    def prepare(self, spec: BackupSpec, token: str) -> str:
        """Begin a backup whose disks are handed over (TAKES_DISKS); gives its id.

        The same token gives the same id, also after `finish`. It takes no long work.
        """
        raise errors.NotSupported("This backup backend takes no disks.")

    def open_write(self, backup_id: str, disk_id: str) -> DiskWriter:
        """Write one disk of a backup that was prepared, from its first byte (TAKES_DISKS).

        Raises NotFound if it was deleted, InvalidArgument if it is whole already.
        """
        raise errors.NotSupported("This backup backend takes no disks.")

    def finish(self, backup_id: str, disks: Sequence[BackupDisk], consistency: Consistency) -> None:
        """The backup is whole: from now on it is found, durably (TAKES_DISKS). Twice is once.

        Raises NotFound if it was deleted, InvalidArgument unless each of `disks` was committed
        in its size.
        """
        raise errors.NotSupported("This backup backend takes no disks.")

    def start_restore(self, backup_id: str, spec: RestoreSpec, token: str) -> Handle:
        """Make a server of a backup, all its disks in order, and start it (RESTORE).

        Result: as that of a compute driver's `start_create` of one server. Raises NotFound.
        """
        raise errors.NotSupported("This backup backend makes no servers.")

    def poll(self, handle: Handle) -> Progress:
        """Say how far long work is. Raises NotFound for an unknown handle."""
        raise errors.NotFound("No such work is known.", f"handle {handle!r}")

    def cancel(self, handle: Handle) -> None:
        """Stop long work and undo it; ended work is left as it is. Raises NotFound."""
        raise errors.NotFound("No such work is known.", f"handle {handle!r}")
