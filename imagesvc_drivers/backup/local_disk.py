"""One disk on its way into a local backup."""

import os
import uuid

from imagesvc.crashpoint import crashpoint
from imagesvc.interface import errors
from imagesvc.interface.backup import DiskWriter
from imagesvc_drivers.backup import local_folder
from imagesvc_drivers.backup.local_folder import BackupFolder
from imagesvc_drivers.client import record, sparse, writeback

_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


class DiskFile(DiskWriter):
    """One disk, written beside its place under a name of its own; for one thread."""

    def __init__(self, folder: BackupFolder, disk_id: str) -> None:
        self._backup_id = folder.backup_id
        self._target = target = folder.disk_path(disk_id)
        self._part = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
        self._offset = 0
        self._writeback = writeback.Writeback()
        self._descriptor: int | None = None
        with local_folder.translated(self._backup_id):
            self._descriptor = os.open(self._part, _CREATE, 0o600)

    def write(self, data: bytes, /) -> None:
        """Take the next raw bytes; whole blocks of zeros are left out."""
        descriptor = self._open()
        with local_folder.translated(self._backup_id), memoryview(data) as view:
            for begin, end in sparse.filled(data, self._offset):
                while begin < end:
                    begin += os.pwrite(descriptor, view[begin:end], self._offset + begin)
        crashpoint("backup.local.written")
        self._offset += len(data)
        self._writeback.reached(descriptor, self._offset)

    def commit(self) -> None:
        """Put the disk at its place."""
        descriptor = self._open()
        with local_folder.translated(self._backup_id):
            os.ftruncate(descriptor, self._offset)
            os.fchmod(descriptor, 0o400)
            os.fsync(descriptor)
            self._part.replace(self._target)
            record.sync_folder(self._target.parent)

    def close(self) -> None:
        """Drop what was not committed."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)
            self._part.unlink(missing_ok=True)

    def _open(self) -> int:
        if self._descriptor is None:
            raise errors.InvalidArgument("The write has ended.")
        return self._descriptor
