"""What a worker does to a job: claim it, keep the lease, write under it, let go.

Each write names worker and lease token; one that finds no such row raises LeaseLost.
"""

import datetime
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from imagesvc import errors
from imagesvc.db import job_queue, job_table, metadata
from imagesvc.domain import job as domain
from imagesvc.domain import state

TABLE = job_table.TABLE
STEP = job_table.STEP

# Any number will do, as long as nothing else in the database locks it.
_CLAIM_LOCK = 7_302_614_205_518_846


def claim(
    conn: sa.Connection,
    worker: str,
    lease_s: float,
    now: datetime.datetime,
    project_cap: int | None = None,
    known: Mapping[str, int] | None = None,
    lane_cap: int | None = None,
    lane_caps: Mapping[str, int] = MappingProxyType({}),
) -> domain.Job | None:
    """Take the job that is due, or one whose lease lapsed (that is one attempt more).

    `known` maps each type that the worker can run to the newest version of its arguments that
    it reads; other jobs are left for a newer worker. None is all.

    A project has at most `project_cap` jobs begun and not ended, all projects together
    `lane_cap` of each lane, or as many as `lane_caps` says of it; None is no cap. Call it in a
    short transaction of its own: on PostgreSQL claims queue for one lock, without which two
    claimers could both see the last free place.
    """
    if conn.dialect.name == "postgresql":
        conn.execute(sa.select(sa.func.pg_advisory_xact_lock(_CLAIM_LOCK)))
    lapsed = conn.scalar(job_queue.lapsed(now, known))
    job_id = lapsed
    if job_id is None:
        job_id = job_queue.choose(conn, now, project_cap, known, lane_cap, lane_caps)
    if job_id is None:
        return None
    target = state.JOB.of("claim").target
    row = (
        conn.execute(
            sa.update(TABLE)
            .where(TABLE.c.id == job_id)
            .values(
                state=target,
                worker=worker,
                lease_until=now + datetime.timedelta(seconds=lease_s),
                lease_token=TABLE.c.lease_token + 1,
                attempt=TABLE.c.attempt + (1 if lapsed is not None else 0),
                started_at=sa.func.coalesce(
                    TABLE.c.started_at, sa.literal(now, metadata.UtcDateTime())
                ),
            )
            .returning(TABLE)
        )
        .mappings()
        .one()
    )
    return job_table.entity(row, job_table.steps_of(conn, [job_id])[job_id])


def fence(conn: sa.Connection, job: domain.Job) -> bool:
    """Hold the job's row until the transaction ends, or raise LeaseLost.

    First statement of any transaction that changes other rows on behalf of the job. Returns
    whether the job was asked to stop: a cancel that comes later waits for the transaction.
    """
    return _asked(conn, job, {"lease_token": TABLE.c.lease_token})


def renew(conn: sa.Connection, job: domain.Job, lease_s: float) -> bool:
    """Prolong the lease; returns whether the job was asked to stop."""
    until = metadata.now() + datetime.timedelta(seconds=lease_s)
    return _asked(conn, job, {"lease_until": until})


def save_step(conn: sa.Connection, job: domain.Job, step: domain.JobStep) -> None:
    """Write the row of a step, new or known."""
    fence(conn, job)
    values = {column.name: getattr(step, column.name) for column in STEP.columns}
    values["memo"] = dict(step.memo)
    insert = (postgresql if conn.dialect.name == "postgresql" else sqlite).insert(STEP)
    changed = {name: insert.excluded[name] for name in values if name not in ("job_id", "n")}
    conn.execute(
        insert.values(values).on_conflict_do_update(
            index_elements=[STEP.c.job_id, STEP.c.n], set_=changed
        )
    )


def advance(conn: sa.Connection, job: domain.Job, step: int) -> bool:
    """Go to step number `step`, attempts counted anew; returns whether the job was asked to stop."""
    return _asked(conn, job, {"step": step, "attempt": 0, **_told(None)})


def unwind(
    conn: sa.Connection,
    job: domain.Job,
    *,
    error_code: str | None = None,
    error_text: str | None = None,
    operator_text: str | None = None,
) -> None:
    """From now on the steps are undone; the cause is kept for the end."""
    _write(
        conn,
        job,
        {
            "unwinding": True,
            "attempt": 0,
            "error_code": error_code,
            "error_text": error_text,
            "operator_text": operator_text,
        },
    )


def park(
    conn: sa.Connection,
    job: domain.Job,
    run_after: datetime.datetime,
    attempt: int,
    *,
    heed_cancel: bool = False,
    cause: tuple[str, str] | None = None,
) -> None:
    """Let go of the job until `run_after`, with `attempt` attempts counted.

    `cause` says why it waits, to the caller and to the operator; it stands until the job goes on.
    With `heed_cancel`, a job that was asked to stop meanwhile is due at once.
    """
    moment: Any = sa.literal(run_after, metadata.UtcDateTime())
    if heed_cancel:
        present = sa.literal(metadata.now(), metadata.UtcDateTime())
        moment = sa.case((TABLE.c.cancel_requested, present), else_=moment)
    _leave(conn, job, "park", {"run_after": moment, "attempt": attempt, **_told(cause)})


def finish(conn: sa.Connection, job: domain.Job, result: Mapping[str, Any] | None = None) -> None:
    """The job is done."""
    _leave(conn, job, "finish", {} if result is None else {"result": dict(result)})


def fail(
    conn: sa.Connection,
    job: domain.Job,
    *,
    error_code: str | None = None,
    error_text: str | None = None,
    operator_text: str | None = None,
) -> None:
    """The job failed; a cause kept by `unwind` stays where none is given."""
    _leave(conn, job, "fail", _cause(error_code, error_text, operator_text))


def die(
    conn: sa.Connection,
    job: domain.Job,
    *,
    error_code: str | None = None,
    error_text: str | None = None,
    operator_text: str | None = None,
) -> None:
    """The job killed its workers too often."""
    _leave(conn, job, "die", _cause(error_code, error_text, operator_text))


def cancel_done(conn: sa.Connection, job: domain.Job) -> None:
    """The job stopped as asked, and its steps are undone."""
    _leave(conn, job, "cancel", {})


def _held(job: domain.Job) -> sa.ColumnElement[bool]:
    return sa.and_(
        TABLE.c.id == job.id,
        TABLE.c.lease_token == job.lease_token,
        TABLE.c.worker == job.worker,
        job_table.RUNNING,
    )


def _asked(conn: sa.Connection, job: domain.Job, values: Mapping[str, Any]) -> bool:
    statement = sa.update(TABLE).where(_held(job)).values(values)
    row = conn.execute(statement.returning(TABLE.c.cancel_requested)).one_or_none()
    if row is None:
        raise errors.LeaseLost(job_id=job.id)
    return bool(row.cancel_requested)


def _write(conn: sa.Connection, job: domain.Job, values: Mapping[str, Any]) -> None:
    if conn.execute(sa.update(TABLE).where(_held(job)).values(values)).rowcount == 0:
        raise errors.LeaseLost(job_id=job.id)


def _leave(conn: sa.Connection, job: domain.Job, event: str, values: Mapping[str, Any]) -> None:
    target = state.JOB.of(event).target
    ended = {"finished_at": metadata.now()} if target in state.JOB_ENDED else {}
    _write(conn, job, {"state": target, "worker": None, "lease_until": None, **ended, **values})


def _told(cause: tuple[str, str] | None) -> dict[str, Any]:
    """Why a job waits, or that it does not any more; what turned a job round stays its cause."""
    text, operator_text = cause or (None, None)
    return {
        name: sa.case((TABLE.c.unwinding, TABLE.c[name]), else_=value)
        for name, value in (("error_text", text), ("operator_text", operator_text))
    }


def _cause(
    error_code: str | None, error_text: str | None, operator_text: str | None
) -> dict[str, str]:
    given = {"error_code": error_code, "error_text": error_text, "operator_text": operator_text}
    return {name: text for name, text in given.items() if text is not None}
