"""Rows that name an image as what they were made of, or what they read."""

from collections.abc import Iterator

import sqlalchemy as sa

from imagesvc.db import bin as bin_rows
from imagesvc.db import image_table, job_table
from imagesvc.domain.job import JobType

MOST = 1000
Use = tuple[str, str, str | None, str | None, str]


def of(conn: sa.Connection, image_id: str) -> Iterator[Use]:
    """(kind, id, name, project, state) of images made of an image, or whose parent it is, of jobs that
    have not ended, of its copies in other regions while their jobs are kept, and of its family."""
    image, job = image_table.TABLE.c, job_table.TABLE.c
    made = (
        sa.select(image.id, image.name, image.owner, image.status)
        .where(
            sa.or_(image.source_image_id == image_id, image.parent_image_id == image_id),
            image_table.ALIVE,
        )
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
    yield from _copies(conn, image_id)
    yield from _family(conn, image_id)


def _copies(conn: sa.Connection, image_id: str) -> Iterator[Use]:
    """Copies in other regions; `name` is the region, `state` that of the job which made them."""
    job = job_table.TABLE.c
    sent = (
        sa.select(job.project_id, job.result, job.state)
        .where(job.image_id == image_id, job.type == JobType.COPY_TO_REGION, job.state == "done")
        .order_by(job.id)
        .limit(MOST)
    )
    for row in conn.execute(sent):
        yield "region-copy", row.result["image_id"], row.result["region"], row.project_id, row.state


def _family(conn: sa.Connection, image_id: str) -> Iterator[Use]:
    """The family of the image; `name` is its version there, `state` whether it is the newest."""
    image = image_table.TABLE.c
    row = conn.execute(
        sa.select(image.family, image.family_version, image.owner).where(image.id == image_id)
    ).one_or_none()
    if row is not None and row.family is not None:
        newest = bin_rows.newest(conn, row.owner, row.family) == image_id
        state = "newest" if newest else "older"
        yield "family", row.family, row.family_version, row.owner, state
