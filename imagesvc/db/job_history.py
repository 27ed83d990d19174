"""Ended jobs: how long they are kept."""

import datetime

import sqlalchemy as sa

from imagesvc.db import job_table

TABLE = job_table.TABLE
STEP = job_table.STEP


def prune(conn: sa.Connection, before: datetime.datetime, limit: int) -> int:
    """Remove at most `limit` jobs that ended before this moment, with their steps; how many.

    A job goes after its children. A job that is run again meanwhile stays.
    """
    child = TABLE.alias("child")
    # What ended before the moment was made before it: that bound keeps to the index of ages.
    ended = (
        sa.select(TABLE.c.id)
        .where(
            TABLE.c.created_at < before,
            TABLE.c.finished_at < before,
            ~sa.exists(sa.select(child.c.id).where(child.c.parent_id == TABLE.c.id)),
        )
        .order_by(TABLE.c.created_at, TABLE.c.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    ids = conn.scalars(ended).all()
    if ids:
        conn.execute(sa.delete(STEP).where(STEP.c.job_id.in_(ids)))
        conn.execute(sa.delete(TABLE).where(TABLE.c.id.in_(ids)))
    return len(ids)
