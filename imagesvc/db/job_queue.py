"""Which job comes next, and which are left for a newer worker."""

import datetime
import functools
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import sqlalchemy as sa

from imagesvc.db import job_table

TABLE = job_table.TABLE
_BEGUN = TABLE.alias("begun")


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
    lane_cap: int | None = None,
    lane_caps: Mapping[str, int] = MappingProxyType({}),
) -> str | None:
    """The job that comes next, None if there is none.

    Of a lane at most `lane_cap`, or what `lane_caps` says, are begun and not ended; of those that wait to begin, one of a
    project that has fewest of them begun comes first. A full lane costs one look at its index,
    however many wait in it.
    """
    heads = [conn.execute(due(now, project_cap, known)).one_or_none()]
    lanes = _lanes(conn)
    begun = _begun(conn) if lanes else {}
    for lane in lanes:
        cap = lane_caps.get(lane, lane_cap)
        if cap is None or sum(begun.get(lane, {}).values()) < cap:
            heads.append(conn.execute(due(now, project_cap, known, lane)).one_or_none())
    found = sorted(
        (head for head in heads if head is not None),
        key=lambda head: (head.priority, head.run_after, head.id),
    )
    if not found:
        return None
    first = found[0]
    if first.lane is None or first.started_at is not None:
        return str(first.id)
    turn = due(now, project_cap, known, first.lane)
    return _fairer(conn, first, begun.get(first.lane, {}), turn) or str(first.id)


def _lanes(conn: sa.Connection) -> tuple[str, ...]:
    """The lanes in which jobs wait to begin, each by one step in an index."""
    found: list[str] = []
    while True:
        last = found[-1] if found else ""
        lane = conn.scalar(
            sa.select(sa.func.min(TABLE.c.lane)).where(job_table.QUEUED, TABLE.c.lane > last)
        )
        if lane is None:
            return tuple(found)
        found.append(lane)


def _begun(conn: sa.Connection) -> dict[str, dict[str, int]]:
    """How many jobs each project has begun, by lane; few, as lanes have a cap."""
    place = (TABLE.c.lane, TABLE.c.project_id)
    statement = (
        sa.select(*place, sa.func.count())
        .where(job_table.OPEN, TABLE.c.lane.is_not(None))
        .group_by(*place)
    )
    found: dict[str, dict[str, int]] = {}
    for lane, project_id, count in conn.execute(statement):
        found.setdefault(lane, {})[project_id] = count
    return found


def _fairer(
    conn: sa.Connection, first: sa.Row[Any], begun: Mapping[str, int], turn: sa.Select[Any]
) -> str | None:
    """A job that waits in that lane, of a project that has fewer of them begun."""
    for count in range(begun.get(first.project_id, 0)):
        more = [project for project, number in begun.items() if number > count]
        if found := conn.scalar(turn.where(TABLE.c.project_id.not_in(more))):
            return str(found)
    return None


def due(
    now: datetime.datetime,
    project_cap: int | None,
    known: Mapping[str, int] | None,
    lane: str | None = None,
) -> sa.Select[Any]:
    """The first job that may begin or go on; its row is locked where the engine can.

    One that waits for a place in `lane`; without that one that needs none.
    """
    c = TABLE.c
    statement = (
        sa.select(c.id, c.lane, c.project_id, c.started_at, c.priority, c.run_after)
        .where(c.run_after <= now, _readable(known))
        .order_by(c.priority, c.run_after, c.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    if lane is None:
        statement = statement.where(job_table.READY, job_table.UNBOUND)
    else:
        statement = statement.where(job_table.QUEUED, c.lane == lane)
    if project_cap is None:
        return statement
    crowded = (
        sa.select(_BEGUN.c.project_id)
        .where(_BEGUN.c.started_at.is_not(None), _BEGUN.c.finished_at.is_(None))
        .group_by(_BEGUN.c.project_id)
        .having(sa.func.count() >= project_cap)
    )
    # A parked job has its place already.
    return statement.where(sa.or_(c.started_at.is_not(None), c.project_id.not_in(crowded)))


def strangers(
    conn: sa.Connection, known: Mapping[str, int], now: datetime.datetime
) -> list[tuple[str, int, int]]:
    """(type, version of the arguments, count) of due jobs that a worker of `known` leaves."""
    waiting = (  # each as its index has it
        sa.and_(job_table.READY, job_table.UNBOUND, TABLE.c.run_after <= now),
        sa.and_(job_table.QUEUED, TABLE.c.run_after <= now),
        sa.and_(job_table.RUNNING, TABLE.c.lease_until < now),
    )
    left = sa.union_all(
        *(
            sa.select(TABLE.c.type, TABLE.c.args_version).where(one, sa.not_(_readable(known)))
            for one in waiting
        )
    ).subquery()
    kind = (left.c.type, left.c.args_version)
    statement = sa.select(*kind, sa.func.count()).group_by(*kind).order_by(*kind)
    return [(row[0], row[1], row[2]) for row in conn.execute(statement)]


def _readable(known: Mapping[str, int] | None) -> sa.ColumnElement[bool]:
    if known is None:
        return sa.true()
    return _of_versions(frozenset((str(name), version) for name, version in known.items()))


@functools.lru_cache(maxsize=64)  # asked with each claim
def _of_versions(known: frozenset[tuple[str, int]]) -> sa.ColumnElement[bool]:
    types: dict[int, list[str]] = {}  # one condition a version: nearly all types share one
    for name, version in sorted(known):
        types.setdefault(version, []).append(name)
    return sa.or_(
        sa.false(),
        *(
            sa.and_(TABLE.c.type.in_(names), TABLE.c.args_version <= version)
            for version, names in types.items()
        ),
    )
