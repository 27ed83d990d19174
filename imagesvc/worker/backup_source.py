"""Backups that jobs read, or take back."""

import contextlib
import hashlib
from collections.abc import Iterator

from imagesvc.db import job as job_rows
from imagesvc.interface.backup import Backup, BackupDriver
from imagesvc.interface.errors import IntegrityError, NotFound
from imagesvc.manager import backup_use
from imagesvc.stream import limit
from imagesvc.worker.flow import StepContext
from imagesvc.worker.proof import Proved


def driver(ctx: StepContext) -> BackupDriver:
    """The driver that the job's backup is on. Raises BackendNotFound, BackendFailed."""
    return ctx.service.backends.backup(ctx.job.args["backend_id"])


def find(ctx: StepContext) -> Backup:
    """The job's backup. Raises NotFound."""
    backup_id = ctx.job.args["backup_id"]
    return driver(ctx).get_backup(backup_id, project_id=ctx.job.project_id)


def take_back(ctx: StepContext, backup_id: str) -> None:
    """Delete a backup that the job made, once nobody reads it; the step's memo names it.

    It may be whole, and so found by others. From the beginning of the unwinding on none of them
    begins to read it. Raises BackupInUse while one does that began before, LeaseLost.
    """
    with ctx.service.database.write() as conn:
        job_rows.fence(conn, ctx.job)
        backup_use.require_unread(conn, ctx.job.project_id, backup_id)
    driver(ctx).delete_backup(backup_id, project_id=ctx.job.project_id)


@contextlib.contextmanager
def opened(ctx: StepContext, disk_id: str) -> Iterator[tuple[int, limit.Reader]]:
    """The size of one disk, and its bytes, the last of them only if all are those that were kept.

    Raises NotFound; reading raises IntegrityError.
    """
    found = find(ctx)
    disk = next((one for one in found.disks if one.disk_id == disk_id), None)
    if disk is None:
        raise NotFound(f"Backup {found.backup_id} has no disk {disk_id}.")
    digest = hashlib.sha512()

    def prove() -> None:
        if disk.digest and digest.hexdigest() != disk.digest:
            raise IntegrityError(
                "The backup does not give back what was kept.",
                f"disk {disk_id} of backup {found.backup_id} differs from its digest",
            )

    with driver(ctx).open_disk(found.backup_id, disk_id) as stream:
        yield disk.size_bytes, Proved(stream, disk.size_bytes, prove, digest.update)
