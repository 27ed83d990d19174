"""The folders of local backups.

backups/<backup id>/spec.json     what is to be backed up, and since when
                    <name>.raw    a sparse file for each disk, never written again
                    backup.json   written last: the backup is whole
trash/
"""

import contextlib
import dataclasses
import datetime
import hashlib
import logging
import shutil
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from imagesvc.interface import errors
from imagesvc.interface.backup import Backup, BackupDisk, BackupSpec
from imagesvc.interface.compute import Consistency
from imagesvc_drivers.client import record

LOG = logging.getLogger(__name__)
FOLDERS = ("backups", "trash")
_FULL = (28, 122)  # ENOSPC, EDQUOT
# A backup that nobody has written to for so long will not be finished.
_UNFINISHED_S = 7 * 24 * 3600


class BackupFolder:
    """Paths and records of one backup."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.backup_id = path.name

    def disk_path(self, disk_id: str) -> Path:
        """The file of a disk, whose id may hold any characters."""
        name = hashlib.sha256(disk_id.encode()).hexdigest()[:32]
        return self.path / f"{name}.raw"

    def spec(self) -> tuple[BackupSpec, str] | None:
        """What is backed up and since when; None if the backup is gone or was never begun.

        Raises DriverError for a damaged record.
        """
        with _reading(self.backup_id):
            body = record.read(self.path / "spec.json")
            if body is None:
                return None
            return BackupSpec(**_known(BackupSpec, body["spec"])), body["created_at"]

    def begin(self, spec: BackupSpec) -> None:
        """Write down what is backed up."""
        moment = datetime.datetime.now(datetime.UTC).isoformat()
        body = {"spec": dataclasses.asdict(spec), "created_at": moment}
        record.write(self.path / "spec.json", body)

    def read(self) -> Backup | None:
        """The backup if it is whole. Raises DriverError for a damaged record."""
        known = self.spec()
        with _reading(self.backup_id):
            body = record.read(self.path / "backup.json")
            if known is None or body is None:
                return None
            spec, created_at = known
            disks = tuple(BackupDisk(**_known(BackupDisk, disk)) for disk in body["disks"])
            return Backup(
                backup_id=self.backup_id,
                project_id=spec.project_id,
                name=spec.name,
                server_id=spec.server_id,
                disks=disks,
                os_type=spec.os_type,
                architecture=spec.architecture,
                memory_mib=spec.memory_mib,
                consistency=Consistency(body["consistency"]),
                created_at=datetime.datetime.fromisoformat(created_at),
            )

    def clear(self, disks: list[BackupDisk]) -> None:
        """Remove what is no part of the backup: parts that a writer left when it was killed."""
        kept = {self.path / "spec.json", *(self.disk_path(disk.disk_id) for disk in disks)}
        for path in self.path.iterdir():
            if path not in kept:
                path.unlink(missing_ok=True)

    def seal(self, disks: list[BackupDisk], consistency: Consistency) -> None:
        """Say that the backup is whole."""
        body = {
            "disks": [dataclasses.asdict(disk) for disk in disks], "consistency": str(consistency)
        }  # fmt: skip
        record.write(self.path / "backup.json", body)

    def abandoned(self) -> bool:
        """Whether it was begun, and left without an end long ago."""
        if (self.path / "backup.json").exists():
            return False
        newest = max(each.stat().st_mtime for each in (self.path, *self.path.iterdir()))
        return time.time() - newest > _UNFINISHED_S


class BackupFolders:
    """All backups of one state folder."""

    def __init__(self, state_dir: Path) -> None:
        self._root = state_dir / "backups"
        self._trash = state_dir / "trash"

    def open(self) -> None:
        """Make the folders, and tidy up. Raises OSError."""
        for name in FOLDERS:
            (self._root.parent / name).mkdir(mode=0o700, parents=True, exist_ok=True)
        self.tidy()

    def tidy(self) -> None:
        """Clear what was being deleted, and what was left without an end. Raises OSError.

        What cannot be removed stays for the next time.
        """
        for folder in self:
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                if folder.abandoned():
                    self._hide(folder)
        for doomed in self._trash.iterdir():
            shutil.rmtree(doomed, ignore_errors=True)

    def of(self, backup_id: str) -> BackupFolder:
        """The folder that a backup would have. Raises NotFound for what is no backup id."""
        try:
            plain = str(uuid.UUID(backup_id)) == backup_id
        except ValueError:
            plain = False
        if not plain:
            raise errors.NotFound(f"No backup {backup_id} was found.")
        return BackupFolder(self._root / backup_id)

    def begun(self, backup_id: str) -> BackupFolder:
        """The folder of a backup, whole or not. Raises NotFound."""
        folder = self.of(backup_id)
        if folder.spec() is None:
            raise errors.NotFound(f"No backup {backup_id} was found.")
        return folder

    def project_id(self, backup_id: str) -> str | None:
        """Whose backup it is, whole or not; None for one that is not there."""
        known = self.of(backup_id).spec()
        return None if known is None else known[0].project_id

    def whole(self, backup_id: str) -> tuple[BackupFolder, Backup]:
        """The folder of a whole backup, and what it is. Raises NotFound."""
        folder = self.of(backup_id)
        found = folder.read()
        if found is None:
            raise errors.NotFound(f"No backup {backup_id} was found.")
        return folder, found

    def make(self, backup_id: str) -> BackupFolder:
        """The folder of a backup, created if missing."""
        folder = self.of(backup_id)
        folder.path.mkdir(mode=0o700, exist_ok=True)
        record.sync_folder(self._root)
        return folder

    def __iter__(self) -> Iterator[BackupFolder]:
        """All folders ordered by backup id."""
        for path in sorted(self._root.iterdir()):
            yield BackupFolder(path)

    def readable(self, after: str | None) -> Iterator[Backup]:
        """Whole backups ordered by id, those after `after`; a damaged record is left out."""
        for folder in self:
            if after is not None and folder.backup_id <= after:
                continue
            try:
                found = folder.read()
            except errors.DriverError as exc:  # one of them must not hide all others
                LOG.warning("backup left out of a list: %s", exc.operator_message)
                continue
            if found is not None:
                yield found

    def remove(self, folder: BackupFolder) -> None:
        """Remove a folder: out of sight in one step, then for good. One that is gone is success.

        Raises Unavailable if something of it stays; it is then removed by the next call.
        """
        self._hide(folder)
        for doomed in self._trash.glob(f"{folder.backup_id}.*"):
            shutil.rmtree(doomed, ignore_errors=True)
            if doomed.exists():
                raise errors.Unavailable("The backup cannot be removed.", f"{doomed} is left")

    def _hide(self, folder: BackupFolder) -> None:
        try:
            folder.path.rename(self._trash / f"{folder.backup_id}.{uuid.uuid4().hex}")
        except FileNotFoundError:
            return
        record.sync_folder(self._root)


def _known(kind: type, body: dict[str, Any]) -> dict[str, Any]:
    """The values that this release knows: a newer one may have written more."""
    names = {field.name for field in dataclasses.fields(kind)}
    return {name: value for name, value in body.items() if name in names}


@contextlib.contextmanager
def _reading(backup_id: str) -> Iterator[None]:
    """What a damaged record makes of itself, as an error of drivers."""
    try:
        yield
    except (ValueError, TypeError, KeyError, AttributeError) as exc:
        raise errors.DriverError(
            f"The record of backup {backup_id} is damaged.", f"backup {backup_id}: {exc!r}"
        ) from exc


@contextlib.contextmanager
def translated(backup_id: str) -> Iterator[None]:
    """What the file system says, as errors of drivers."""
    try:
        yield
    except FileNotFoundError as exc:
        raise errors.NotFound(f"Backup {backup_id} was deleted.", str(exc)) from exc
    except OSError as exc:
        if exc.errno in _FULL:
            raise errors.NoSpace("The backup backend's disk is full.", str(exc)) from exc
        raise errors.Unavailable("The backup cannot be kept or read.", str(exc)) from exc
