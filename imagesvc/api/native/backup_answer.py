"""Shapes of the answers on backups, for the API's description."""

import datetime

from imagesvc.api.native.answer import Answer
from imagesvc.interface.compute import Consistency


class BackupDisk(Answer):
    """A disk of a backup; `digest` is the SHA-512 of its raw bytes, empty if nobody knows it."""

    id: str
    size_bytes: int
    boot: bool
    digest: str


class Backup(Answer):
    """All disks of the server `server_id`, which may be gone, as they were at one instant.

    `memory_mib` is what the server had, null if nobody knows."""

    id: str
    name: str
    server_id: str
    size_bytes: int
    os_type: str
    architecture: str
    memory_mib: int | None
    consistency: Consistency
    created_at: datetime.datetime | None
    detail: str
    disks: list[BackupDisk]


class BackupPage(Answer):
    """Backups; `next` is the marker of the page after this one."""

    backups: list[Backup]
    next: str | None


class OneBackup(Answer):
    """One backup."""

    backup: Backup
