"""Imports as lists of the jobs that do them."""

from collections.abc import Collection

import sqlalchemy as sa

from imagesvc.db import job_table
from imagesvc.domain.job import Job

TABLE = job_table.TABLE
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
