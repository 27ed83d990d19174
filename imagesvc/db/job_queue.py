"""Which job comes next, and which are left for a newer worker."""

import datetime
from collections.abc import Collection, Mapping
from typing import Any

import sqlalchemy as sa

from imagesvc.db import job_table

TABLE = job_table.TABLE


def lapsed(now: datetime.datetime, known: Mapping[str, int] | None) -> sa.Select[str]:
    """The job whose lease lapsed first; its row is locked where the engine can."""
    return (
        sa.select(TABLE.c.id)
        .where(job_table.RUNNING, TABLE.c.lease_until < now, _readable(known))
        .order_by(TABLE.c.lease_until)
        .limit(1)
        .with_for_update(skip_locked=True)
    )


def choose(
    conn: sa.Connection,
    now: datetime.datetime,
    project_cap: int | None,
    known: Mapping[str, int] | None,
    type_caps: Mapping[str, int] | None = None,
) -> str | None:
    """The job that comes next, None if there is none.

    Of a type in `type_caps` at most so many are begun and not ended; of those that wait to begin,
    one of a project that has fewest of them begun comes first. More than one look is only needed
    where such a job is at the head.
    """
    full: list[str] = []
    while True:
        first = conn.execute(due(now, project_cap, known, full)).one_or_none()
        if first is None or first.started_at is not None or first.type not in (type_caps or {}):
            return None if first is None else first.id
        begun = _begun(conn, first.type)
        if sum(begun.values()) < (type_caps or {})[first.type]:
            return _fairer(conn, first, begun, now, project_cap, known) or str(first.id)
        full.append(first.type)


def _begun(conn: sa.Connection, job_type: str) -> dict[str, int]:
    """How many jobs of a type each project has begun; few, as the type has a cap."""
    statement = sa.select(TABLE.c.project_id, sa.func.count()).where(
        job_table.OPEN, TABLE.c.type == job_type
    )
    return {row[0]: row[1] for row in conn.execute(statement.group_by(TABLE.c.project_id))}


def _fairer(
    conn: sa.Connection,
    first: sa.Row[Any],
    begun: Mapping[str, int],
    now: datetime.datetime,
    project_cap: int | None,
    known: Mapping[str, int] | None,
) -> str | None:
    """A job of that type that waits, of a project that has fewer of them begun."""
    for count in range(begun.get(first.project_id, 0)):
        more = [project for project, number in begun.items() if number > count]
        waiting = due(now, project_cap, known).where(
            TABLE.c.type == first.type,
            TABLE.c.started_at.is_(None),
            TABLE.c.project_id.not_in(more),
        )
        if found := conn.scalar(waiting):
            return str(found)
    return None


def due(
    now: datetime.datetime,
    project_cap: int | None,
    known: Mapping[str, int] | None,
    full: Collection[str] = (),
) -> sa.Select[Any]:
    """The first job that may begin or go on; its row is locked where the engine can.

    None begins that is of a type in `full`.
    """
    statement = (
        sa.select(TABLE.c.id, TABLE.c.type, TABLE.c.project_id, TABLE.c.started_at)
        .where(job_table.READY, TABLE.c.run_after <= now, _readable(known))
        .order_by(TABLE.c.priority, TABLE.c.run_after, TABLE.c.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    if full:
        statement = statement.where(
            sa.or_(TABLE.c.started_at.is_not(None), TABLE.c.type.not_in(full))
        )
    if project_cap is None:
        return statement
    begun = TABLE.alias("begun")
    crowded = (
        sa.select(begun.c.project_id)
        .where(begun.c.started_at.is_not(None), begun.c.finished_at.is_(None))
        .group_by(begun.c.project_id)
        .having(sa.func.count() >= project_cap)
    )
    # A parked job has its place already.
    return statement.where(
        sa.or_(TABLE.c.started_at.is_not(None), TABLE.c.project_id.not_in(crowded))
    )


def strangers(
    conn: sa.Connection, known: Mapping[str, int], now: datetime.datetime
) -> list[tuple[str, int, int]]:
    """(type, version of the arguments, count) of due jobs that a worker of `known` leaves."""
    kind = (TABLE.c.type, TABLE.c.args_version)
    waiting = sa.or_(
        sa.and_(job_table.READY, TABLE.c.run_after <= now),
        sa.and_(job_table.RUNNING, TABLE.c.lease_until < now),
    )
    statement = (
        sa.select(*kind, sa.func.count().label("count"))
        .where(waiting, sa.not_(_readable(known)))
        .group_by(*kind)
        .order_by(*kind)
    )
    return [(row[0], row[1], row[2]) for row in conn.execute(statement)]


def _readable(known: Mapping[str, int] | None) -> sa.ColumnElement[bool]:
    if known is None:
        return sa.true()
    return sa.or_(
        sa.false(),
        *(
            sa.and_(TABLE.c.type == str(name), TABLE.c.args_version <= version)
            for name, version in sorted(known.items())
        ),
    )
