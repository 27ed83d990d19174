"""Rows that name an image as what they were made of, or what they read; and its own last use."""

import dataclasses
import datetime
from collections.abc import Iterator, Sequence

import sqlalchemy as sa

from imagesvc.db import image_table, job_table

MOST = 1000
# A use within this time of the one before is not written.
COARSE = datetime.timedelta(hours=1)


@dataclasses.dataclass(frozen=True, slots=True)
class ImageLife:
    """What an image was made of here, and when it was last used, to the hour; None if never."""

    parent_image_id: str | None
    last_used_at: datetime.datetime | None


def life(conn: sa.Connection, image_id: str) -> ImageLife:
    """Of one image; empty if it is not there."""
    c = image_table.TABLE.c
    row = conn.execute(sa.select(c.parent_image_id, c.last_used_at).where(c.id == image_id))
    found = row.one_or_none()
    return ImageLife(None, None) if found is None else ImageLife(*found)


def touch(conn: sa.Connection, image_ids: Sequence[str], moment: datetime.datetime) -> int:
    """Write that images are used now, where that was not written within the last hour; how many.

    Neither their revision nor the time of their last change moves. An image that another
    transaction holds is left out rather than waited for: its use is written the next time.
    """
    if not image_ids:
        return 0
    table = image_table.TABLE
    last = table.c.last_used_at
    stale = sa.or_(last.is_(None), last < moment - COARSE)
    wanted = sa.select(table.c.id).where(
        table.c.id.in_(sorted(image_ids)), image_table.ALIVE, stale
    )
    if conn.dialect.name == "postgresql":
        wanted = wanted.with_for_update(key_share=True, skip_locked=True)
    changed = sa.update(table).where(table.c.id.in_(wanted)).values(last_used_at=moment)
    return conn.execute(changed).rowcount


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
