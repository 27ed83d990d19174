"""A backup service that copies servers by itself: its servers are folders of raw files.

Why a fake: no such service can be had here. Its work is that of a real one: it goes on after a
kill, and is followed by a handle. It passes the conformance suite.
"""

import dataclasses
import shutil
import uuid
from pathlib import Path

from imagesvc.interface import backup, base, errors
from imagesvc.interface.backup import BackupCapability, BackupDisk, BackupSpec
from imagesvc.interface.compute import Consistency
from imagesvc_drivers.backup.local import LocalBackup
from imagesvc_drivers.client import task


class _Copying(task.Task):
    kind = "copy"

    def __init__(self, kept):
        self._kept = kept

    def do(self, work):
        spec = BackupSpec(**work.body["spec"])
        backup_id = LocalBackup.prepare(self._kept, spec, work.handle)
        disks = []
        for path in sorted((self._kept.servers / spec.server_id).iterdir()):
            work.heed()
            with LocalBackup.open_write(self._kept, backup_id, path.name) as writer:
                writer.write(path.read_bytes())
                writer.commit()
            disks.append(BackupDisk(path.name, path.stat().st_size, not disks))
        LocalBackup.finish(self._kept, backup_id, disks, Consistency.CRASH)
        return backup_id

    def undo(self, work):
        spec = BackupSpec(**work.body["spec"])
        backup_id = LocalBackup.prepare(self._kept, spec, work.handle)
        self._kept.delete_backup(backup_id, project_id=spec.project_id)


class _Making(task.Task):
    kind = "make"

    def __init__(self, kept):
        self._kept = kept

    def do(self, work):
        server_id = str(uuid.uuid5(uuid.NAMESPACE_OID, work.handle))
        home = self._kept.servers / server_id
        home.mkdir(exist_ok=True)
        for disk_id in work.body["disks"]:
            with self._kept.open_disk(work.body["backup_id"], disk_id) as source:
                (home / disk_id).write_bytes(source.read())
        return [{"server_id": server_id, "error": ""}]

    def undo(self, work):
        server_id = str(uuid.uuid5(uuid.NAMESPACE_OID, work.handle))
        shutil.rmtree(self._kept.servers / server_id, ignore_errors=True)


class FolderBackup(LocalBackup):
    """Servers are the folders of `servers`, each with a file a disk; it hashes nothing."""

    def __init__(self, options, *, backend_id):
        super().__init__(options, backend_id=backend_id)
        self.servers = Path(options.state_dir) / "servers"
        self._desk = task.Desk(
            Path(options.state_dir) / "operations", (_Copying(self), _Making(self))
        )

    def open(self):
        super().open()
        for name in ("servers", "operations"):
            (Path(self.options.state_dir) / name).mkdir(exist_ok=True)
        self._desk.open()

    def close(self):
        self._desk.close(5)

    def info(self):
        capabilities = {BackupCapability.SEES_SERVERS, BackupCapability.RESTORE}
        return base.DriverInfo("folder", "test", "1", frozenset(capabilities))

    def start_create(self, spec, token):
        if not (self.servers / spec.server_id).is_dir():
            raise errors.NotFound("The service sees no such server.")
        return self._desk.start("copy", token, {"spec": dataclasses.asdict(spec)})

    def start_restore(self, backup_id, spec, token):
        found = self.get_backup(backup_id, project_id=spec.project_id)
        disks = [disk.disk_id for disk in found.disks]
        return self._desk.start("make", token, {"backup_id": backup_id, "disks": disks})

    def poll(self, handle):
        return self._desk.poll(handle)

    def cancel(self, handle):
        self._desk.cancel(handle)

    path = backup.BackupDriver.path
    prepare = backup.BackupDriver.prepare
    open_write = backup.BackupDriver.open_write
    finish = backup.BackupDriver.finish
