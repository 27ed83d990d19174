"""Which jobs need a backup just now. A backup has no row: jobs name it."""

import sqlalchemy as sa

from imagesvc.db import job_table
from imagesvc.domain.job import READS_BACKUP, JobType
from imagesvc.domain.state import JOB_ENDED

TABLE = job_table.TABLE
STEP = job_table.STEP
_TYPES = sorted({*READS_BACKUP, JobType.DELETE_BACKUP})
_LOCK = 0x6261636B  # our class of advisory locks: "back"


def hold(conn: sa.Connection, backup_id: str) -> None:
    """Keep others from beginning a job on the backup until the transaction ends.

    SQLite has one writer at a time anyway.
    """
    if conn.dialect.name == "postgresql":
        conn.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK, sa.func.hashtext(backup_id))))


def open_jobs(conn: sa.Connection, project_id: str, backup_id: str) -> tuple[tuple[str, str], ...]:
    """Id and type of the project's jobs that read the backup or delete it, and have not ended."""
    wanted = sa.and_(
        TABLE.c.project_id == project_id,
        TABLE.c.type.in_(_TYPES),
        TABLE.c.state.not_in(sorted(JOB_ENDED)),
    )
    found = conn.execute(sa.select(TABLE.c.id, TABLE.c.type, TABLE.c.args).where(wanted))
    return tuple((row.id, row.type) for row in found if row.args["backup_id"] == backup_id)


def makers_unwinding(conn: sa.Connection, project_id: str, backup_id: str) -> tuple[str, ...]:
    """Ids of the project's jobs that made the backup, and are taking it back."""
    wanted = sa.and_(
        TABLE.c.project_id == project_id,
        TABLE.c.type == JobType.CREATE_BACKUP,
        TABLE.c.state.not_in(sorted(JOB_ENDED)),
        TABLE.c.unwinding,
    )
    steps = sa.select(STEP.c.job_id, STEP.c.memo).join(TABLE, TABLE.c.id == STEP.c.job_id)
    found = conn.execute(steps.where(wanted))
    return tuple(row.job_id for row in found if row.memo.get("backup_id") == backup_id)
