"""Rows that name an image as what they were made of, or what they read."""

from collections.abc import Iterator

import sqlalchemy as sa

from imagesvc.db import image_table, job_table

MOST = 1000


def of(
    conn: sa.Connection, image_id: str
) -> Iterator[tuple[str, str, str | None, str | None, str]]:
    """(kind, id, name, project, state) of images made of an image, and of jobs that have not ended."""
    image, job = image_table.TABLE.c, job_table.TABLE.c
    made = (
        sa.select(image.id, image.name, image.owner, image.status)
        .where(image.source_image_id == image_id, image_table.ALIVE)
        .order_by(image.id)
        .limit(MOST)
    )
    for row in conn.execute(made):
        yield "image", row.id, row.name, row.owner, str(row.status)
    busy = (
        sa.select(job.id, job.type, job.project_id, job.state)
        .where(job.image_id == image_id, job.finished_at.is_(None))
        .order_by(job.id)
        .limit(MOST)
    )
    for row in conn.execute(busy):
        yield "job", row.id, row.type, row.project_id, str(row.state)
