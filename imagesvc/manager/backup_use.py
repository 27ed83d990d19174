"""A backup is kept as long as a job reads it, and read by nobody once a job deletes it.

The job that makes a backup deletes it too, if it fails or is cancelled in its last moment.
"""

from typing import Any

from imagesvc import errors
from imagesvc.db import backup_use as use_rows
from imagesvc.domain.job import READS_BACKUP, Job, JobType


def require_kept(conn: Any, project_id: str, backup_id: str) -> None:
    """Let a job that reads the backup begin in this transaction.

    Raises BackupInUse if a job deletes it, or the one that made it takes it back.
    """
    use_rows.hold(conn, backup_id)
    for job_id in use_rows.makers_unwinding(conn, project_id, backup_id):
        raise errors.BackupInUse(backup_id=backup_id, job_id=job_id, job_type=JobType.CREATE_BACKUP)
    for job_id, job_type in use_rows.open_jobs(conn, project_id, backup_id):
        if job_type == JobType.DELETE_BACKUP:
            raise errors.BackupInUse(backup_id=backup_id, job_id=job_id, job_type=job_type)


def require_unread(conn: Any, project_id: str, backup_id: str) -> str | None:
    """Let a job that deletes the backup begin; gives the one that has begun, if one has.

    Raises BackupInUse if a job reads it.
    """
    use_rows.hold(conn, backup_id)
    found = use_rows.open_jobs(conn, project_id, backup_id)
    for job_id, job_type in found:
        if job_type != JobType.DELETE_BACKUP:
            raise errors.BackupInUse(backup_id=backup_id, job_id=job_id, job_type=job_type)
    return found[0][0] if found else None


def require_free(conn: Any, job: Job) -> None:
    """Let a job that ended begin again. Raises BackupInUse."""
    if job.type in READS_BACKUP:
        require_kept(conn, job.project_id, job.args["backup_id"])
    if job.type == JobType.DELETE_BACKUP:
        require_unread(conn, job.project_id, job.args["backup_id"])
