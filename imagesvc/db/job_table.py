"""The tables of jobs and their steps, and how rows become entities."""

from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa

from imagesvc.db import metadata
from imagesvc.domain import job as domain
from imagesvc.domain.state import JobState, StepState

_word = metadata.word
_TYPES = frozenset(domain.JobType)

TABLE = sa.Table(
    "job",
    metadata.METADATA,
    sa.Column("id", _word(), primary_key=True),
    sa.Column("parent_id", _word(), sa.ForeignKey("job.id")),
    sa.Column("type", _word(), nullable=False),
    sa.Column("args_version", sa.Integer(), nullable=False),
    sa.Column("args", metadata.Json(), nullable=False),
    sa.Column("project_id", _word(), nullable=False),
    sa.Column("image_id", _word()),
    sa.Column("user_id", _word()),
    sa.Column("request_id", _word(), nullable=False),
    sa.Column("idempotency_key", _word()),
    sa.Column("state", _word(), nullable=False),
    sa.Column("step", sa.Integer(), nullable=False),
    sa.Column("attempt", sa.Integer(), nullable=False),
    sa.Column("attempts_max", sa.Integer(), nullable=False),
    sa.Column("run_after", metadata.UtcDateTime(), nullable=False),
    sa.Column("priority", sa.Integer(), nullable=False),
    sa.Column("worker", _word()),
    sa.Column("lease_until", metadata.UtcDateTime()),
    sa.Column("lease_token", sa.BigInteger(), nullable=False),
    sa.Column("cancel_requested", sa.Boolean(), nullable=False),
    sa.Column("unwinding", sa.Boolean(), nullable=False),
    sa.Column("created_at", metadata.UtcDateTime(), nullable=False),
    sa.Column("started_at", metadata.UtcDateTime()),
    sa.Column("finished_at", metadata.UtcDateTime()),
    sa.Column("error_code", _word()),
    sa.Column("error_text", _word()),
    sa.Column("operator_text", _word()),
    sa.Column("result", metadata.Json(), nullable=False),
    sa.Column("lane", _word()),
    sa.UniqueConstraint("project_id", "idempotency_key"),
)

STEP = sa.Table(
    "job_step",
    metadata.METADATA,
    sa.Column("job_id", _word(), sa.ForeignKey("job.id"), primary_key=True),
    sa.Column("n", sa.Integer(), primary_key=True, autoincrement=False),
    sa.Column("name", _word(), nullable=False),
    sa.Column("state", _word(), nullable=False),
    sa.Column("started_at", metadata.UtcDateTime()),
    sa.Column("finished_at", metadata.UtcDateTime()),
    sa.Column("memo", metadata.Json(), nullable=False),
    sa.Column("done_bytes", sa.BigInteger(), nullable=False),
    sa.Column("total_bytes", sa.BigInteger()),
)

_c = TABLE.c
READY = _c.state == sa.literal_column("'ready'")
RUNNING = _c.state == sa.literal_column("'running'")
# Begun and not ended: running, or parked. This is what a project's cap counts.
OPEN = sa.and_(_c.started_at.is_not(None), _c.finished_at.is_(None))
# What needs no free place in a lane: a job of none, or one that has its place.
UNBOUND = sa.or_(_c.lane.is_(None), _c.started_at.is_not(None))
# What waits for a place in a lane, told so that an index has these alone.
QUEUED = sa.and_(READY, _c.started_at.is_(None), _c.lane.is_not(None))
_NEWEST = (_c.created_at.desc(), _c.id.desc())


def _index(name: str, *columns: Any, where: sa.ColumnElement[bool] | None = None) -> None:
    sa.Index(f"ix_job_{name}", *columns, sqlite_where=where, postgresql_where=where)


_index("ready", _c.priority, _c.run_after, _c.id, where=sa.and_(READY, UNBOUND))
_index("queued", _c.lane, _c.priority, _c.run_after, _c.id, where=QUEUED)
_index("lapsed", _c.lease_until, where=RUNNING)
_index("open", _c.project_id, where=OPEN)
_index("project", _c.project_id, *_NEWEST)
_index("newest", *_NEWEST)
_index("image_id", _c.image_id)
_index("parent_id", _c.parent_id)


def entity(row: sa.RowMapping, steps: Iterable[domain.JobStep] = ()) -> domain.Job:
    """The Job of a row."""
    values = dict(row)
    if values["type"] in _TYPES:  # a newer release may have handed in what this one does not know
        values["type"] = domain.JobType(values["type"])
    values["state"] = JobState(values["state"])
    return domain.Job(**values, steps=tuple(steps))


def steps_of(conn: sa.Connection, job_ids: Iterable[str]) -> dict[str, list[domain.JobStep]]:
    """Steps of these jobs by job id, each in order; one statement."""
    found: dict[str, list[domain.JobStep]] = {job_id: [] for job_id in job_ids}
    if found:
        statement = (
            sa.select(STEP).where(STEP.c.job_id.in_(found)).order_by(STEP.c.job_id, STEP.c.n)
        )
        for row in conn.execute(statement).mappings():
            values = dict(row)
            values["state"] = StepState(values["state"])
            found[values["job_id"]].append(domain.JobStep(**values))
    return found
