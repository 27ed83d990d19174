"""Bytes of backups, as compute backends take them."""

import dataclasses
from pathlib import Path
from typing import BinaryIO

from imagesvc import errors
from imagesvc.backend.registry import Backends
from imagesvc.interface.backup import Backup, BackupCapability, BackupDisk, BackupDriver
from imagesvc.interface.image_source import ImageSource
from imagesvc.manager import backup_backend, signed_url
from imagesvc.manager.signed_url import BackupPlace


@dataclasses.dataclass(frozen=True, slots=True)
class BackupDownload:
    """The bytes of one disk, ready to be opened; `etag` is strong: other bytes, another one."""

    driver: BackupDriver
    backup_id: str
    disk: BackupDisk

    @property
    def size_bytes(self) -> int:
        """Bytes of the raw disk."""
        return self.disk.size_bytes

    @property
    def etag(self) -> str:
        """A backup never changes."""
        return self.disk.digest or f"{self.backup_id}-{self.disk.disk_id}"

    def open(self, offset: int = 0, length: int | None = None) -> BinaryIO:
        """Open the bytes from `offset` on; the stream does not end after `length`."""
        return self.driver.open_disk(self.backup_id, self.disk.disk_id, offset=offset)


class BackupFileManager:
    """Hands the disks of backups to backends that make servers of them."""

    def __init__(self, backends: Backends, signer: signed_url.Signer) -> None:
        self._backends = backends
        self._signer = signer

    def sources(self, backend_id: str, found: Backup, job_id: str) -> tuple[ImageSource, ...]:
        """The disks in their order, for the work of a job; who reads one verifies it by its digest."""
        driver = self._backends.backup(backend_id)
        return tuple(
            ImageSource(
                image_id=found.backup_id,
                disk=index,
                disk_format="raw",
                size_bytes=disk.size_bytes,
                virtual_size_bytes=disk.size_bytes,
                digest=disk.digest,
                url=self._signer.sign_backup(
                    BackupPlace(backend_id, found.project_id, found.backup_id, index), job_id
                ),
                local_path=_local_path(driver, found.backup_id, disk.disk_id),
            )
            for index, disk in enumerate(found.disks)
        )

    def open_signed(self, place: BackupPlace, proof: signed_url.Proof) -> BackupDownload:
        """The bytes that a signed URL names. Raises Forbidden, BackupNotFound."""
        self._signer.verify_backup(place, proof)
        _, found = backup_backend.find(
            self._backends, place.project_id, place.backup_id, place.backend_id
        )
        if place.disk >= len(found.disks):
            raise errors.BackupNotFound(backup_id=place.backup_id)
        driver = self._backends.backup(place.backend_id)
        return BackupDownload(driver, place.backup_id, found.disks[place.disk])


def _local_path(driver: BackupDriver, backup_id: str, disk_id: str) -> Path | None:
    if BackupCapability.LOCAL_FILE not in driver.info().capabilities:
        return None
    return driver.path(backup_id, disk_id)
