"""Which job comes next, and which are left for a newer worker."""

import datetime
from collections.abc import Mapping

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


def due(
    now: datetime.datetime, project_cap: int | None, known: Mapping[str, int] | None
) -> sa.Select[str]:
    """The first job that may begin or go on; its row is locked where the engine can."""
    statement = (
        sa.select(TABLE.c.id)
        .where(job_table.READY, TABLE.c.run_after <= now, _readable(known))
        .order_by(TABLE.c.priority, TABLE.c.run_after, TABLE.c.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    if project_cap is None:
        return statement
    begun = TABLE.alias("begun")
    full = (
        sa.select(begun.c.project_id)
        .where(begun.c.started_at.is_not(None), begun.c.finished_at.is_(None))
        .group_by(begun.c.project_id)
        .having(sa.func.count() >= project_cap)
    )
    # A parked job has its place already.
    return statement.where(sa.or_(TABLE.c.started_at.is_not(None), TABLE.c.project_id.not_in(full)))


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
