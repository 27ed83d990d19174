"""Imports as lists of the jobs that do them."""

from collections.abc import Collection

import sqlalchemy as sa

from imagesvc.db import job_table
from imagesvc.db import marker as markers
from imagesvc.domain.job import Job
from imagesvc.domain.state import JobState
from imagesvc.domain.task import TaskQuery, TaskStatus

TABLE = job_table.TABLE
_FAILED = (JobState.FAILED, JobState.CANCELLED, JobState.DEAD)
_BEGUN = TABLE.c.started_at.is_not(None)
_OPEN = TABLE.c.finished_at.is_(None)
_STATUS = {
    TaskStatus.PENDING: sa.and_(_OPEN, ~_BEGUN),
    TaskStatus.PROCESSING: sa.and_(_OPEN, _BEGUN),
    TaskStatus.SUCCESS: TABLE.c.state == JobState.DONE,
    TaskStatus.FAILURE: TABLE.c.state.in_(_FAILED),
}
_CHANGED = sa.func.coalesce(TABLE.c.finished_at, TABLE.c.started_at, TABLE.c.created_at)
_SORT_KEYS: dict[str, sa.ColumnElement[object]] = {
    "created_at": TABLE.c.created_at,
    "updated_at": _CHANGED,
    "expires_at": _CHANGED,
    "id": TABLE.c.id,
    "status": TABLE.c.state,
    "type": TABLE.c.type,
}
_NEWEST = (TABLE.c.created_at.desc(), TABLE.c.id.desc())


def for_image(
    conn: sa.Connection, image_id: str, types: Collection[str], limit: int
) -> tuple[Job, ...]:
    """The image's jobs of these types, newest first, without their steps."""
    statement = (
        sa.select(TABLE)
        .where(TABLE.c.image_id == image_id, TABLE.c.type.in_(sorted(types)))
        .order_by(*_NEWEST)
        .limit(limit)
    )
    return tuple(job_table.entity(row) for row in conn.execute(statement).mappings())


def get(conn: sa.Connection, job_id: str, types: Collection[str]) -> Job | None:
    """The job of that id, if it is of these types."""
    statement = sa.select(TABLE).where(TABLE.c.id == job_id, TABLE.c.type.in_(sorted(types)))
    row = conn.execute(statement).mappings().one_or_none()
    return None if row is None else job_table.entity(row)


def page(
    conn: sa.Connection, types: Collection[str], query: TaskQuery, limit: int
) -> tuple[Job, ...]:
    """Jobs of these types of all projects, in the order asked for; ties by their ids.

    Raises InvalidRequest (MARKER).
    """
    of = TABLE.c.type.in_(sorted(types))
    statement = sa.select(TABLE).where(of)
    if query.status is not None:
        statement = statement.where(_STATUS[query.status])
    if query.owner is not None:
        statement = statement.where(TABLE.c.project_id == query.owner)
    key = _SORT_KEYS[query.sort_key]
    if query.marker is not None:
        seen = markers.find(conn, "task", query.marker, TABLE.c.id, [of], [key.label("key")])
        edge = sa.tuple_(sa.literal(seen["key"], key.type), sa.literal(query.marker))
        place = sa.tuple_(key, TABLE.c.id)
        statement = statement.where(place < edge if query.descending else place > edge)
    order = [one.desc() if query.descending else one.asc() for one in (key, TABLE.c.id)]
    rows = conn.execute(statement.order_by(*order).limit(limit)).mappings()
    return tuple(job_table.entity(row) for row in rows)
