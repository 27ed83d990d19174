"""Images: insert, get, update; the list and the transitions stand in files of their own."""

import datetime
import functools
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from imagesvc import errors
from imagesvc.db import image_list, image_property, image_state, image_table, metadata, tag, unique
from imagesvc.domain import family
from imagesvc.domain import image as domain

TABLE = image_table.TABLE

list_page = image_list.list_page
transition = image_state.transition
heartbeat = image_state.heartbeat
stale_saving = image_state.stale_saving
rest = image_state.rest
resting = image_state.resting

_STATEMENTS_MAX = 1024
_SHOWN = "A family shows one public image, and another of {} is shown already: hide that one first."
# Only transitions write the status, only a birth writes the id.
_NOT_UPDATABLE = frozenset({"id", "status", "revision", "created_at", "deleted_at"})


def insert(conn: sa.Connection, image: domain.Image) -> None:
    """Add an image with its tags and properties.

    Raises Conflict (ID_TAKEN) if the id is or ever was in use, Conflict if its family shows another
    public image already.
    """
    values = {field: getattr(image, field) for field in image_table.FIELDS}
    if image.family_version is not None:
        values["family_order"] = family.order(image.family_version)
    with unique.guard(_SHOWN.format(image.family)):
        made = conn.execute(_birth(conn.dialect.name), values).one_or_none()
    if made is None:
        raise errors.Conflict(
            "The image id {image_id} is taken.",
            reason=errors.Reason.ID_TAKEN,
            image_id=image.id,
        )
    if image.tags:
        tag.put(conn, image.id, image.tags)
    image_property.put(conn, image.id, image.properties)


@functools.cache
def _birth(dialect: str) -> sa.Executable:
    insert = (postgresql if dialect == "postgresql" else sqlite).insert(TABLE)
    insert = insert.on_conflict_do_nothing(index_elements=[TABLE.c.id])
    statement: sa.Executable = insert.returning(TABLE.c.id)
    return statement


def get(
    conn: sa.Connection,
    image_id: str,
    predicate: sa.ColumnElement[bool] | None = None,
    *,
    lock: bool = False,
    binned: bool = False,
) -> domain.Image | None:
    """The image with tags and properties, in one statement; None if deleted or not `predicate`.

    With `binned` one in the bin is an image too, for those who look after its bytes.

    With `lock` nobody else changes the image, its tags, properties and members until the
    transaction ends; it is the first lock of the transaction but for those of jobs.
    """
    if lock and conn.dialect.name == "postgresql":
        # A statement of its own: one that waited sees other tables as they were before it waited.
        there = image_table.KEPT if binned else image_table.ALIVE
        held = sa.select(TABLE.c.id).where(TABLE.c.id == image_id, there)
        held = held if predicate is None else held.where(predicate)
        conn.execute(held.with_for_update(of=TABLE, key_share=True))
    statement = _one(conn.dialect.name, predicate, binned)
    row = conn.execute(statement, {"wanted_id": image_id}).one_or_none()
    return None if row is None else image_table.entity(row)


# Made once for each predicate: anew it took longer than the database needs to answer.
@functools.lru_cache(maxsize=_STATEMENTS_MAX)
def _one(dialect: str, predicate: sa.ColumnElement[bool] | None, binned: bool) -> sa.Select[Any]:
    there = image_table.KEPT if binned else image_table.ALIVE
    statement = sa.select(*image_table.columns(dialect)).where(
        TABLE.c.id == sa.bindparam("wanted_id"), there
    )
    return statement if predicate is None else statement.where(predicate)


class Mark(NamedTuple):
    """The number that each change of an image raises, and its last use, which is no change."""

    revision: int
    last_used_at: datetime.datetime | None


def mark(
    conn: sa.Connection, image_id: str, predicate: sa.ColumnElement[bool] | None = None
) -> Mark | None:
    """Of one image; None if deleted or not `predicate`."""
    row = conn.execute(_mark(predicate), {"wanted_id": image_id}).one_or_none()
    return None if row is None else Mark(*row)


@functools.lru_cache(maxsize=_STATEMENTS_MAX)
def _mark(predicate: sa.ColumnElement[bool] | None) -> sa.Select[Any]:
    statement = sa.select(TABLE.c.revision, TABLE.c.last_used_at).where(
        TABLE.c.id == sa.bindparam("wanted_id"), image_table.ALIVE
    )
    return statement if predicate is None else statement.where(predicate)


def update(
    conn: sa.Connection,
    image_id: str,
    values: Mapping[str, Any],
    *,
    revision: int | None = None,
) -> domain.Image:
    """Set columns, raise the revision, and return the image as it now is.

    With `revision`, only if the row still has it: else Conflict.
    Raises ImageNotFound for a missing or deleted image, Conflict if it would be the second public
    image that its family shows. The status is not set here.
    """
    forbidden = _NOT_UPDATABLE.intersection(values)
    if forbidden:
        raise ValueError(f"not set by update: {sorted(forbidden)}")
    changed = {"updated_at": metadata.now(), **values, "wanted_id": image_id}
    if "family_version" in values:
        changed["family_order"] = family.order(values["family_version"])
    if revision is not None:
        changed["wanted_revision"] = revision
    statement = _change(conn.dialect.name, revision is not None)
    with unique.guard(_SHOWN.format(values.get("family", "it"))):
        row = conn.execute(statement, changed).one_or_none()
    if row is not None:
        return image_table.entity(row)
    if get(conn, image_id) is None:
        raise errors.ImageNotFound(image_id=image_id)
    raise errors.Conflict(
        "Image {image_id} was changed meanwhile.",
        reason=errors.Reason.IMAGE_BUSY,
        image_id=image_id,
    )


@functools.cache
def _change(dialect: str, with_revision: bool) -> sa.Executable:
    """Sets the columns that are given with it; the names of conditions are those of no column."""
    statement = sa.update(TABLE).where(TABLE.c.id == sa.bindparam("wanted_id"), image_table.ALIVE)
    if with_revision:
        statement = statement.where(TABLE.c.revision == sa.bindparam("wanted_revision"))
    changed = statement.values(revision=TABLE.c.revision + 1)
    now: sa.Executable = changed.returning(*image_table.columns(dialect))
    return now


def set_properties(
    conn: sa.Connection, image_id: str, set: Mapping[str, str], remove: Iterable[str] = ()
) -> None:
    """Create or overwrite the properties of `set`, remove those of `remove`."""
    image_property.remove(conn, image_id, remove)
    image_property.put(conn, image_id, set)


def count_by_owner(conn: sa.Connection, owner: str) -> int:
    """How many images the project has."""
    counted = sa.select(sa.func.count()).where(TABLE.c.owner == owner, image_table.ALIVE)
    return conn.execute(counted).scalar_one()


def is_encrypted(conn: sa.Connection, image_id: str) -> bool:
    """Whether an image has, or had before it was deleted, a key of the KMS."""
    return conn.scalar(sa.select(TABLE.c.key_id).where(TABLE.c.id == image_id)) is not None


def id_used(conn: sa.Connection, image_id: str) -> bool:
    """True if an image has or ever had this id."""
    return conn.scalar(sa.select(TABLE.c.id).where(TABLE.c.id == image_id)) is not None
