"""Images in the bin, and the graves of all deleted ones."""

import dataclasses
import datetime
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from imagesvc.db import attempt, image_state, image_table, job_table, marker
from imagesvc.db import family as family_rows
from imagesvc.domain.bin import BinnedImage, Grave

TABLE = image_table.TABLE
# The condition of the index, which is that of the bin.
_BINNED = sa.and_(image_table.BINNED, TABLE.c.bin_until.is_not(None))
_GRAVE = (
    TABLE.c.id, TABLE.c.owner, TABLE.c.visibility, TABLE.c.deleted_at, TABLE.c.deleted_by,
    TABLE.c.deleted_by_project, TABLE.c.bin_until,
)  # fmt: skip


def get(
    conn: sa.Connection, image_id: str, owner: str | None = None, *, lock: bool = False
) -> BinnedImage | None:
    """An image in the bin, of this project or of any; with `lock` nobody else takes it out."""
    wanted = _wanted(owner, TABLE.c.id == image_id)
    if lock and conn.dialect.name == "postgresql":
        conn.execute(sa.select(TABLE.c.id).where(*wanted).with_for_update(of=TABLE))
    row = conn.execute(_entries(conn).where(*wanted)).one_or_none()
    return None if row is None else _entry(row)


def list_page(
    conn: sa.Connection, owner: str | None, after: str | None, limit: int
) -> tuple[BinnedImage, ...]:
    """What is in the bin of a project, or of all, by id. Raises InvalidRequest (MARKER)."""
    wanted = _wanted(owner)
    if after is not None:
        marker.find(conn, "image", after, TABLE.c.id, wanted, (TABLE.c.id,))
        wanted = (*wanted, TABLE.c.id > after)
    statement = _entries(conn).where(*wanted).order_by(TABLE.c.id).limit(limit)
    return tuple(_entry(row) for row in conn.execute(statement))


def due(
    conn: sa.Connection, now: datetime.datetime, limit: int
) -> tuple[tuple[str, str | None], ...]:
    """(image id, owner) of those whose term is over, and that no open job removes."""
    job = job_table.TABLE
    at_work = sa.exists().where(job.c.id == TABLE.c.purge_job_id, job.c.finished_at.is_(None))
    statement = (
        sa.select(TABLE.c.id, TABLE.c.owner)
        .where(_BINNED, TABLE.c.bin_until <= now, ~at_work)
        .order_by(TABLE.c.bin_until, TABLE.c.id)
        .limit(limit)
    )
    return tuple((row.id, row.owner) for row in conn.execute(statement))


def set_purge_job(conn: sa.Connection, image_id: str, job_id: str) -> None:
    """Note which job removes the image; the image is locked by the caller."""
    conn.execute(sa.update(TABLE).where(TABLE.c.id == image_id).values(purge_job_id=job_id))


def grave(conn: sa.Connection, image_id: str) -> Grave | None:
    """What is remembered of a deleted image, with the newest image of its family."""
    family = TABLE.c.family.label("family")
    wanted = sa.select(*_GRAVE, family).where(
        TABLE.c.id == image_id, TABLE.c.deleted_at.is_not(None)
    )
    row = conn.execute(wanted).one_or_none()
    if row is None:
        return None
    found = Grave(*row[: len(_GRAVE)])
    return dataclasses.replace(found, successor_id=family_rows.newest(conn, row.owner, row.family))


def take_back(conn: sa.Connection, image_id: str, event: str, values: Mapping[str, Any]) -> None:
    """Take an image out of the bin by `event`, with `values` of the caller's.

    Raises what a transition does, Again if its family shows another public image since a moment ago.
    """
    try:
        image_state.transition(conn, image_id, event, values)
    except sa.exc.IntegrityError as exc:  # nothing but the constraint decides a race
        raise attempt.Again("The family shows another image by now.") from exc


def _wanted(owner: str | None, *more: sa.ColumnElement[bool]) -> tuple[sa.ColumnElement[bool], ...]:
    return (_BINNED, *more) if owner is None else (_BINNED, TABLE.c.owner == owner, *more)


def _entries(conn: sa.Connection) -> sa.Select[Any]:
    columns = image_table.columns(conn.dialect.name)
    labelled = [one.label(f"grave_{one.name}") for one in _GRAVE]
    return sa.select(*columns, *labelled, TABLE.c.bin_status, TABLE.c.purge_job_id)


def _entry(row: sa.Row[Any]) -> BinnedImage:
    values: Sequence[Any] = row
    image, grave = values[: -len(_GRAVE) - 2], values[-len(_GRAVE) - 2 : -2]
    status, job_id = values[-2], values[-1]
    return BinnedImage(image_table.entity(image), Grave(*grave), status, job_id)
