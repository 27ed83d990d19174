"""Backups as sparse raw files of one folder, handed over disk by disk.

Any number of service processes may use one state folder at once.
"""

import itertools
import os
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

from oslo_config import cfg

from imagesvc.crashpoint import crashpoint
from imagesvc.interface import backup, base, errors
from imagesvc.interface.backup import Backup, BackupCapability, BackupDisk, BackupSpec
from imagesvc.interface.compute import Consistency
from imagesvc_drivers.backup import local_disk, local_folder

_NAMESPACE = uuid.UUID("5b0c8f52-1f0e-4d35-9a41-7de2c0b8a6f3")


class LocalBackup(backup.BackupDriver):
    """One folder a backup, one file a disk."""

    contract = base.Version(1, 0)
    OPTS = (
        cfg.StrOpt(
            "state_dir",
            default="${service.state_dir}/backup",
            help="Folder of backups; needs room for all data of the servers that are backed up, "
            "best on a disk of its own. All processes of the service share it.",
        ),
    )

    def __init__(self, options: Any, *, backend_id: str) -> None:
        super().__init__(options, backend_id=backend_id)
        self._state_dir = Path(options.state_dir)
        if not self._state_dir.is_absolute():
            raise errors.InvalidConfiguration("Option state_dir needs an absolute path.")
        self._folders = local_folder.BackupFolders(self._state_dir)

    def open(self) -> None:
        """Make the folders and tidy up. Raises Unavailable."""
        try:
            self._folders.open()
        except OSError as exc:
            raise errors.Unavailable("Backups cannot be kept here.", str(exc)) from exc

    def info(self) -> base.DriverInfo:
        """Say what this driver is."""
        return base.DriverInfo(
            name="local",
            vendor="imagesvc",
            version="1.0",
            capabilities=frozenset({BackupCapability.TAKES_DISKS, BackupCapability.LOCAL_FILE}),
        )

    def health(self) -> base.Health:
        """Look for a folder that can be written."""
        begun = time.perf_counter()
        try:
            probe = self._state_dir / "trash" / f".health-{os.getpid()}-{time.monotonic_ns()}"
            probe.touch()
            probe.unlink()
        except OSError as exc:
            return base.Health(base.HealthState.DOWN, str(exc))
        return base.Health(base.HealthState.OK, "", (time.perf_counter() - begun) * 1000)

    def get_backup(self, backup_id: str, *, project_id: str) -> Backup:
        """Describe one backup."""
        if self._folders.project_id(backup_id) != project_id:
            raise errors.NotFound(f"No backup {backup_id} was found.")
        return self._folders.whole(backup_id)[1]

    def list_backups(
        self, project_id: str, *, after: str | None = None, limit: int = 100
    ) -> list[Backup]:
        """List a project's backups ordered by id."""
        found = self._folders.readable(after)
        return list(itertools.islice((one for one in found if one.project_id == project_id), limit))

    def delete_backup(self, backup_id: str, *, project_id: str) -> None:
        """Remove a backup, whole or not."""
        try:
            folder = self._folders.of(backup_id)
        except errors.NotFound:
            return
        known = folder.spec()
        # What is gone may have left something in the trash.
        if known is None or known[0].project_id == project_id:
            with local_folder.translated(backup_id):
                self._folders.remove(folder)

    def open_disk(self, backup_id: str, disk_id: str, *, offset: int = 0) -> BinaryIO:
        """Read the raw bytes of a disk."""
        disk, path = self._disk(backup_id, disk_id)
        if not 0 <= offset <= disk.size_bytes:
            raise errors.InvalidArgument(f"Offset {offset} is outside of the disk.")
        with local_folder.translated(backup_id):
            stream = path.open("rb")
        stream.seek(offset)
        return stream

    def path(self, backup_id: str, disk_id: str) -> Path:
        """The file of a disk."""
        return self._disk(backup_id, disk_id)[1]

    def _disk(self, backup_id: str, disk_id: str) -> tuple[BackupDisk, Path]:
        folder, found = self._folders.whole(backup_id)
        for disk in found.disks:
            if disk.disk_id == disk_id:
                return disk, folder.disk_path(disk_id)
        raise errors.NotFound(f"Backup {backup_id} has no disk {disk_id}.")

    def prepare(self, spec: BackupSpec, token: str) -> str:
        """Begin a backup; its id follows from the token."""
        backup_id = str(uuid.uuid5(_NAMESPACE, f"{spec.project_id}/{token}"))
        with local_folder.translated(backup_id):
            self._folders.tidy()
            folder = self._folders.make(backup_id)
            if folder.spec() is None:
                folder.begin(spec)
        crashpoint("backup.local.prepared")
        return backup_id

    def open_write(self, backup_id: str, disk_id: str) -> backup.DiskWriter:
        """Write one disk."""
        folder = self._folders.begun(backup_id)
        if folder.read() is not None:
            raise errors.InvalidArgument(f"Backup {backup_id} is whole already.")
        return local_disk.DiskFile(folder, disk_id)

    def finish(self, backup_id: str, disks: Sequence[BackupDisk], consistency: Consistency) -> None:
        """The backup is whole."""
        folder = self._folders.begun(backup_id)
        if folder.read() is not None:
            return
        for disk in disks:
            try:
                size_bytes = folder.disk_path(disk.disk_id).stat().st_size
            except FileNotFoundError:
                size_bytes = -1
            if size_bytes != disk.size_bytes:
                raise errors.InvalidArgument(f"Disk {disk.disk_id} was not written whole.")
        with local_folder.translated(backup_id):
            folder.clear(list(disks))
            folder.seal(list(disks), consistency)
        crashpoint("backup.local.finished")
