"""Rows that name an image as what they were made of, or what they read; and its own last use."""

import dataclasses
import datetime
from collections.abc import Iterator, Sequence

import sqlalchemy as sa

from imagesvc.db import family as family_rows
from imagesvc.db import image_table, job_table
from imagesvc.domain.job import JobType

MOST = 1000
# A use within this time of the one before is not written.
COARSE = datetime.timedelta(hours=1)

Use = tuple[str, str, str | None, str | None, str]


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
        newest = family_rows.newest(conn, row.owner, row.family) == image_id
        state = "newest" if newest else "older"
        yield "family", row.family, row.family_version, row.owner, state
