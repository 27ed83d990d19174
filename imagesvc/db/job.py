"""Jobs: insert, get, list, cancel, retry; what workers do stands in `job_lease`."""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from imagesvc import errors
from imagesvc.db import attempt, job_lease, job_table, metadata
from imagesvc.db import marker as markers
from imagesvc.domain import job as domain
from imagesvc.domain import state

TABLE = job_table.TABLE

claim = job_lease.claim
fence = job_lease.fence
renew = job_lease.renew
save_step = job_lease.save_step
advance = job_lease.advance
unwind = job_lease.unwind
park = job_lease.park
finish = job_lease.finish
fail = job_lease.fail
die = job_lease.die
cancel_done = job_lease.cancel_done


def insert(conn: sa.Connection, job: domain.Job) -> None:
    """Add a job. Raises AlreadySubmitted if the project used the idempotency key before."""
    values = {column.name: getattr(job, column.name) for column in TABLE.columns}
    values["run_after"] = job.run_after or job.created_at
    values["args"], values["result"] = dict(job.args), dict(job.result)
    statement = (postgresql if conn.dialect.name == "postgresql" else sqlite).insert(TABLE)
    made = conn.execute(
        statement.values(values)
        .on_conflict_do_nothing(index_elements=[TABLE.c.project_id, TABLE.c.idempotency_key])
        .returning(TABLE.c.id)
    )
    if made.one_or_none() is None:
        raise errors.AlreadySubmitted(key=job.idempotency_key)


def get(conn: sa.Connection, job_id: str, project_id: str | None = None) -> domain.Job | None:
    """The job with its steps; None if missing, or not of `project_id` when that is given."""
    wanted = TABLE.c.id == job_id
    if project_id is not None:
        wanted = sa.and_(wanted, TABLE.c.project_id == project_id)
    return _one(conn, wanted)


def is_open(conn: sa.Connection, job_id: str) -> bool:
    """Whether the job is there and has not ended."""
    wanted = sa.and_(TABLE.c.id == job_id, TABLE.c.finished_at.is_(None))
    return conn.scalar(sa.select(sa.literal(1)).where(wanted)) is not None


def by_idempotency(conn: sa.Connection, project_id: str, key: str) -> domain.Job | None:
    """The job that the project submitted under this key, or None."""
    return _one(conn, sa.and_(TABLE.c.project_id == project_id, TABLE.c.idempotency_key == key))


def list_page(
    conn: sa.Connection,
    project_id: str | None = None,
    state: str | None = None,
    type: str | None = None,
    marker: str | None = None,
    limit: int = 25,
) -> tuple[domain.Job, ...]:
    """Jobs with their steps, newest first; of all projects with `project_id` None.

    Raises InvalidRequest (MARKER) if the marker is unknown or another project's.
    """
    seen = sa.true() if project_id is None else TABLE.c.project_id == project_id
    statement = sa.select(TABLE).where(seen)
    if state is not None:
        statement = statement.where(TABLE.c.state == state)
    if type is not None:
        statement = statement.where(TABLE.c.type == type)
    if marker is not None:
        last = markers.find(conn, "job", marker, TABLE.c.id, [seen], [TABLE.c.created_at])
        moment = sa.literal(last["created_at"], metadata.UtcDateTime())
        edge = sa.tuple_(moment, sa.literal(marker))
        statement = statement.where(sa.tuple_(TABLE.c.created_at, TABLE.c.id) < edge)
    newest = (TABLE.c.created_at.desc(), TABLE.c.id.desc())
    rows = conn.execute(statement.order_by(*newest).limit(limit)).mappings().all()
    steps = job_table.steps_of(conn, [row["id"] for row in rows])
    return tuple(job_table.entity(row, steps[row["id"]]) for row in rows)


def request_cancel(conn: sa.Connection, job_id: str, project_id: str | None = None) -> domain.Job:
    """Ask a job to stop. One that no worker has begun is cancelled at once.

    Raises JobNotFound, StateConflict for an ended job; asked twice is no error.
    """
    row = state.JOB.of("cancel")
    return _changed(conn, _cancel(row).where(TABLE.c.id == job_id), job_id, project_id, row)


def hold_for_image(conn: sa.Connection, image_id: str) -> frozenset[str]:
    """Hold the rows of the jobs that fill an image until the transaction ends; their ids.

    Whoever changes job and image together locks the job first, so that nobody waits in a circle.
    """
    return frozenset(conn.scalars(_filling(image_id).order_by(TABLE.c.id).with_for_update()))


def cancel_for_image(conn: sa.Connection, image_id: str, held: frozenset[str]) -> tuple[str, ...]:
    """Ask the jobs that fill an image and have not ended to stop; its readers go on.

    The image is locked, so that no further job comes. Raises Again for one that is not among
    `held`: it came while we waited for the image, and whoever has its row may wait for us.
    Returns the ids of those that ended by it at once, since no worker had begun them.
    """
    row = state.JOB.of("cancel")
    makers = TABLE.c.type.in_(sorted(domain.FILLS_IMAGE))
    if not held.issuperset(conn.scalars(_filling(image_id))):
        raise attempt.Again(f"Image {image_id} got another job.")
    asked = conn.execute(
        _cancel(row)
        .where(TABLE.c.image_id == image_id, makers)
        .returning(TABLE.c.id, TABLE.c.state)
    )
    return tuple(found.id for found in asked if found.state == row.target)


def retry(
    conn: sa.Connection,
    job_id: str,
    project_id: str | None = None,
    args: Mapping[str, Any] | None = None,
) -> domain.Job:
    """Run an ended job from its beginning, with other arguments if they are given.

    Raises JobNotFound, StateConflict if it is not ended.
    """
    row = state.JOB.of("retry")
    statement = (
        sa.update(TABLE)
        .where(TABLE.c.id == job_id, TABLE.c.state.in_(sorted(row.sources)))
        .values(
            state=row.target,
            step=0,
            attempt=0,
            run_after=metadata.now(),
            cancel_requested=False,
            unwinding=False,
            worker=None,
            lease_until=None,
            started_at=None,
            finished_at=None,
            error_code=None,
            error_text=None,
            operator_text=None,
            result={},
            **({} if args is None else {"args": dict(args)}),
        )
    )
    job = _changed(conn, statement, job_id, project_id, row)
    conn.execute(sa.delete(job_table.STEP).where(job_table.STEP.c.job_id == job_id))
    return dataclasses.replace(job, steps=())


def unread_servers(conn: sa.Connection, project_id: str) -> frozenset[str]:
    """Servers of a project whose disks a capture or a backup has not copied yet.

    A snapshot is the first step; a service that makes a backup by itself reads them to its end.
    """
    wanted = sa.and_(
        TABLE.c.project_id == project_id,
        TABLE.c.type.in_(sorted(domain.CAPTURES_SERVER)),
        TABLE.c.state.not_in(sorted(state.JOB_ENDED)),
        sa.or_(TABLE.c.step == 0, TABLE.c.type == domain.JobType.CREATE_BACKUP),
    )
    return frozenset(
        args["server_id"]
        for step, args in conn.execute(sa.select(TABLE.c.step, TABLE.c.args).where(wanted))
        if step == 0 or args["ordered"]
    )


def _filling(image_id: str) -> sa.Select[str]:
    makers = TABLE.c.type.in_(sorted(domain.FILLS_IMAGE))
    return sa.select(TABLE.c.id).where(TABLE.c.image_id == image_id, makers)


def drop_argument(conn: sa.Connection, job_ids: Iterable[str], name: str) -> None:
    """Remove an argument from those of these jobs that have it; the caller holds their rows."""
    wanted = TABLE.c.id.in_(sorted(job_ids))
    found = conn.execute(sa.select(TABLE.c.id, TABLE.c.args).where(wanted)).all()
    for job_id, args in found:
        if name in args:
            kept = {key: value for key, value in args.items() if key != name}
            conn.execute(sa.update(TABLE).where(TABLE.c.id == job_id).values(args=kept))


def _cancel(row: state.Transition) -> sa.Update:
    moment = sa.literal(metadata.now(), metadata.UtcDateTime())
    untouched = sa.and_(job_table.READY, TABLE.c.started_at.is_(None))
    return (
        sa.update(TABLE)
        .where(TABLE.c.state.in_(sorted(row.sources)))
        .values(
            cancel_requested=True,
            state=sa.case((untouched, row.target), else_=TABLE.c.state),
            finished_at=sa.case((untouched, moment), else_=TABLE.c.finished_at),
            # A parked job is woken, so that it unwinds now.
            run_after=sa.case((job_table.READY, moment), else_=TABLE.c.run_after),
        )
    )


def _one(conn: sa.Connection, wanted: sa.ColumnElement[bool]) -> domain.Job | None:
    row = conn.execute(sa.select(TABLE).where(wanted)).mappings().one_or_none()
    if row is None:
        return None
    return job_table.entity(row, job_table.steps_of(conn, [row["id"]])[row["id"]])


def _changed(
    conn: sa.Connection,
    statement: sa.Update,
    job_id: str,
    project_id: str | None,
    row: state.Transition,
) -> domain.Job:
    if project_id is not None:
        statement = statement.where(TABLE.c.project_id == project_id)
    found = conn.execute(statement).rowcount
    job = get(conn, job_id, project_id)
    if job is None:
        raise errors.JobNotFound(job_id=job_id)
    if found == 0:
        raise errors.StateConflict(
            noun="job",
            id=job_id,
            status=job.state,
            event=row.event,
            allowed=", ".join(sorted(row.sources)),
        )
    return job
