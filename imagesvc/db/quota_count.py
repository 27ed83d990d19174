"""Use of quota counted anew from the rows that it stands for, and counters mended by it."""

import datetime

import sqlalchemy as sa

from imagesvc.db import image_disk, image_table, job_table, pending, quota, upload
from imagesvc.domain.quota import UNCOUNTED, Change, Difference, Resource
from imagesvc.domain.state import JOB_ENDED

IMAGE = image_table.TABLE
DISK = image_disk.TABLE
HELD = quota.RESERVATION

Counts = dict[tuple[str, Resource], tuple[int, int]]


def differences(conn: sa.Connection, project_id: str | None = None) -> tuple[Difference, ...]:
    """Counters that differ from the rows, of one project or of all.

    Unless the counters are locked, a change that is under way may look like one.
    """
    counted, actual = _counted(conn, project_id), _actual(conn, project_id)
    return tuple(
        Difference(*key, counted.get(key, (0, 0)), actual.get(key, (0, 0)))
        for key in sorted(counted.keys() | actual.keys())
        if counted.get(key, (0, 0)) != actual.get(key, (0, 0))
    )


def lock(conn: sa.Connection, project_id: str) -> None:
    """Keep others from changing the counters of a project until the transaction ends.

    Whoever has changed them has committed by then; whoever has changed images alone will
    add to what is set meanwhile.
    """
    quota.change(conn, [Change(project_id, resource) for resource in Resource], {})


def mend(conn: sa.Connection, wrong: Difference) -> None:
    """Set a counter to what the rows say; the project's counters are locked."""
    used, reserved = wrong.actual
    conn.execute(
        sa.update(quota.USAGE)
        .where(
            quota.USAGE.c.project_id == wrong.project_id,
            quota.USAGE.c.resource == wrong.resource,
        )
        .values(used=used, reserved=reserved)
    )


def orphans(conn: sa.Connection, before: datetime.datetime) -> tuple[str, ...]:
    """Tokens older than this moment that no open job, upload or object under way answers for."""
    jobs, notes = job_table.TABLE, pending.TABLE
    open_job = sa.exists().where(jobs.c.id == HELD.c.token, jobs.c.state.not_in(sorted(JOB_ENDED)))
    noted = sa.exists().where(notes.c.owner_token == HELD.c.token)
    resumable = sa.exists().where(upload.TABLE.c.id == HELD.c.token)
    nobody = (~open_job, ~noted, ~resumable)
    statement = sa.select(HELD.c.token).distinct().where(HELD.c.created_at < before, *nobody)
    return tuple(conn.scalars(statement))


def _counted(conn: sa.Connection, project_id: str | None) -> Counts:
    statement = sa.select(quota.USAGE)
    if project_id is not None:
        statement = statement.where(quota.USAGE.c.project_id == project_id)
    return {
        (row.project_id, Resource(row.resource)): (row.used, row.reserved)
        for row in conn.execute(statement)
    }


def _actual(conn: sa.Connection, project_id: str | None) -> Counts:
    images = sa.select(IMAGE.c.owner, sa.func.count()).where(
        image_table.ALIVE, IMAGE.c.status.not_in(sorted(UNCOUNTED))
    )
    disks = (
        sa.select(IMAGE.c.owner, sa.cast(sa.func.sum(DISK.c.size_bytes), sa.BigInteger))
        .join_from(IMAGE, DISK, DISK.c.image_id == IMAGE.c.id)
        .where(image_table.KEPT)
    )
    held = sa.select(
        HELD.c.project_id, HELD.c.resource, sa.cast(sa.func.sum(HELD.c.amount), sa.BigInteger)
    )
    owned = IMAGE.c.owner.is_not(None) if project_id is None else IMAGE.c.owner == project_id
    if project_id is not None:
        held = held.where(HELD.c.project_id == project_id)
    found: Counts = {}
    for resource, statement in ((Resource.IMAGES, images), (Resource.STORED_BYTES, disks)):
        for owner, amount in conn.execute(statement.where(owned).group_by(IMAGE.c.owner)):
            found[owner, resource] = (amount, 0)
    for owner, name, amount in conn.execute(held.group_by(HELD.c.project_id, HELD.c.resource)):
        key = (owner, Resource(name))
        found[key] = (found.get(key, (0, 0))[0], amount)
    return found
