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
    now: datetime.datetime,
    project_cap: int | None,
    known: Mapping[str, int] | None,
    type_caps: Mapping[str, int] | None = None,
) -> sa.Select[str]:
    """The first job that may begin or go on; its row is locked where the engine can.

    Of a type in `type_caps` at most so many are begun and not ended; of those that wait for a
    place, one of the project that has fewest begun comes first.
    """
    statement = (
        sa.select(TABLE.c.id)
        .where(job_table.READY, TABLE.c.run_after <= now, _readable(known))
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    if type_caps:
        statement = _capped(statement, type_caps)
    shares = (_share(type_caps),) if type_caps else ()
    statement = statement.order_by(TABLE.c.priority, *shares, TABLE.c.run_after, TABLE.c.id)
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


def _capped(statement: sa.Select[str], type_caps: Mapping[str, int]) -> sa.Select[str]:
    begun = TABLE.alias("running")
    for name, cap in sorted(type_caps.items()):
        running = (
            sa.select(sa.func.count())
            .where(begun.c.type == name, *_begun(begun))
            .scalar_subquery()
        )  # fmt: skip
        # A parked job has its place already.
        free = sa.or_(TABLE.c.type != name, TABLE.c.started_at.is_not(None), running < cap)
        statement = statement.where(free)
    return statement


def _share(type_caps: Mapping[str, int]) -> sa.ColumnElement[int]:
    """How many jobs of its type the job's project has begun; 0 for a type without a cap."""
    begun = TABLE.alias("shared")
    count = (
        sa.select(sa.func.count())
        .where(
            begun.c.type == TABLE.c.type, begun.c.project_id == TABLE.c.project_id, *_begun(begun)
        )
        .correlate(TABLE)
        .scalar_subquery()
    )
    waits = sa.and_(TABLE.c.type.in_(sorted(type_caps)), TABLE.c.started_at.is_(None))
    return sa.case((waits, count), else_=0)


def _begun(table: sa.Alias) -> tuple[sa.ColumnElement[bool], ...]:
    return table.c.started_at.is_not(None), table.c.finished_at.is_(None)


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
