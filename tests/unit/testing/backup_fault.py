"""Backup drivers that each break one promise; all else is as in `local`, or in `FolderBackup`."""

import uuid
from pathlib import Path

from imagesvc.interface import base, errors
from imagesvc.interface.operation import Progress, ProgressState
from imagesvc_drivers.backup import local_disk
from imagesvc_drivers.backup.local import LocalBackup
from tests.unit.testing.folder_backup import FolderBackup


class NoWay(LocalBackup):
    """Neither sees servers nor takes disks."""

    def info(self):
        return base.DriverInfo("none", "test", "1")


class Silent(LocalBackup):
    """Does what it does not promise to do."""

    def start_restore(self, backup_id, spec, token):
        return "done"


class Shifted(LocalBackup):
    def open_disk(self, backup_id, disk_id, *, offset=0):
        return super().open_disk(backup_id, disk_id, offset=offset and offset - 1)


class Unsorted(LocalBackup):
    def list_backups(self, project_id, **options):
        return super().list_backups(project_id, **options)[::-1]


class Unpaged(LocalBackup):
    def list_backups(self, project_id, *, after=None, limit=100):
        return super().list_backups(project_id, limit=limit)


class OneProject(LocalBackup):
    """Shows a backup to whoever knows its id."""

    def get_backup(self, backup_id, *, project_id):
        return self._folders.whole(backup_id)[1]


class OpenHand(LocalBackup):
    """Removes a backup for whoever knows its id."""

    def delete_backup(self, backup_id, *, project_id):
        folder = self._folders.whole(backup_id)[0]
        self._folders.remove(folder)


class DeleteOnce(LocalBackup):
    def delete_backup(self, backup_id, *, project_id):
        self.get_backup(backup_id, project_id=project_id)
        super().delete_backup(backup_id, project_id=project_id)


class Chained(LocalBackup):
    """Takes those that came after along."""

    def delete_backup(self, backup_id, *, project_id):
        for found in self.list_backups(project_id):
            super().delete_backup(found.backup_id, project_id=project_id)


class WrongFile(LocalBackup):
    def path(self, backup_id, disk_id):
        super().path(backup_id, disk_id)
        return Path("/dev/null")


class Early(LocalBackup):
    """Shows a backup as soon as it is begun."""

    def prepare(self, spec, token):
        backup_id = super().prepare(spec, token)
        super().finish(backup_id, (), "crash")
        return backup_id


class Careless(LocalBackup):
    """Does not look whether the disks are there."""

    def finish(self, backup_id, disks, consistency):
        self._folders.begun(backup_id).seal(list(disks), consistency)


class FreshIds(LocalBackup):
    def prepare(self, spec, token):
        return super().prepare(spec, uuid.uuid4().hex)


class _Sticky(local_disk.DiskFile):
    def close(self):
        if self._descriptor is not None and self._part.exists():
            self.commit()
        super().close()


class Sticky(LocalBackup):
    """Keeps what was not committed."""

    def open_write(self, backup_id, disk_id):
        super().open_write(backup_id, disk_id).close()
        folder = self._folders.begun(backup_id)
        return _Sticky(folder, disk_id)


class WholeOnly(LocalBackup):
    """Removes no backup that is not whole."""

    def delete_backup(self, backup_id, *, project_id):
        if self._folders.of(backup_id).read() is not None:
            super().delete_backup(backup_id, project_id=project_id)


class BegunOnce(LocalBackup):
    def prepare(self, spec, token):
        begun = {folder.backup_id for folder in self._folders}
        backup_id = super().prepare(spec, token)
        if backup_id in begun:
            raise errors.AlreadyExists("It was begun.")
        return backup_id


class FinishOnce(LocalBackup):
    def finish(self, backup_id, disks, consistency):
        if self._folders.of(backup_id).read() is not None:
            raise errors.InvalidArgument("It is whole.")
        super().finish(backup_id, disks, consistency)


class UnknownRuns(LocalBackup):
    def poll(self, handle):
        return Progress(ProgressState.RUNNING)


class EveryBackup(FolderBackup):
    """Forgets the token."""

    def start_create(self, spec, token):
        return super().start_create(spec, uuid.uuid4().hex)


class Stopless(FolderBackup):
    """Says that it was stopped, and goes on."""

    def cancel(self, handle):
        self.__dict__.setdefault("cancelled", set()).add(handle)

    def poll(self, handle):
        found = super().poll(handle)
        ended = handle in self.__dict__.get("cancelled", ()) and found.done
        return Progress(ProgressState.CANCELLED) if ended else found


class EveryServer(FolderBackup):
    """Forgets the token."""

    def start_restore(self, backup_id, spec, token):
        return super().start_restore(backup_id, spec, uuid.uuid4().hex)
