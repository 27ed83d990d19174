"""What operators watch, counted from the rows."""

import dataclasses

import sqlalchemy as sa

from imagesvc.db import audit_seal, job_table, metadata

_job = job_table.TABLE.c


@dataclasses.dataclass(frozen=True, slots=True)
class Counts:
    """Jobs by (type, state); ages in seconds, 0 if there is nothing that could be old."""

    jobs: dict[tuple[str, str], int]
    oldest_ready_job_s: float
    unsealed: int
    oldest_unsealed_s: float


def count(conn: sa.Connection) -> Counts:
    """Count now: three statements. Reads the whole table of jobs."""
    now = metadata.now()
    grouped = sa.select(_job.type, _job.state, sa.func.count()).group_by(_job.type, _job.state)
    jobs = {(type_, state): number for type_, state, number in conn.execute(grouped)}
    due = sa.select(sa.func.min(_job.run_after)).where(job_table.READY, _job.run_after <= now)
    ready = conn.scalar(due)
    unsealed, since = audit_seal.unsealed_since(conn)
    return Counts(
        jobs=jobs,
        oldest_ready_job_s=(now - ready).total_seconds() if ready else 0.0,
        unsealed=unsealed,
        oldest_unsealed_s=max((now - since).total_seconds(), 0.0) if since else 0.0,
    )
