"""Images: insert, get, update; the list and the transitions stand in files of their own."""

from collections.abc import Iterable, Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from imagesvc import errors
from imagesvc.db import image_list, image_property, image_state, image_table, metadata, tag
from imagesvc.domain import image as domain

TABLE = image_table.TABLE

list_page = image_list.list_page
transition = image_state.transition
heartbeat = image_state.heartbeat
stale_saving = image_state.stale_saving

# Only transitions write the status, only a birth writes the id.
_NOT_UPDATABLE = frozenset({"id", "status", "revision", "created_at", "deleted_at"})


def insert(conn: sa.Connection, image: domain.Image) -> None:
    """Add an image with its tags and properties.

    Raises Conflict (ID_TAKEN) if the id is or ever was in use.
    """
    values = {field: getattr(image, field) for field in image_table.FIELDS}
    statement = (postgresql if conn.dialect.name == "postgresql" else sqlite).insert(TABLE)
    made = conn.execute(
        statement.values(**values)
        .on_conflict_do_nothing(index_elements=[TABLE.c.id])
        .returning(TABLE.c.id)
    )
    if made.one_or_none() is None:
        raise errors.Conflict(
            "The image id {image_id} is taken.",
            reason=errors.Reason.ID_TAKEN,
            image_id=image.id,
        )
    if image.tags:
        tag.put(conn, image.id, image.tags)
    image_property.put(conn, image.id, image.properties)


def get(
    conn: sa.Connection,
    image_id: str,
    predicate: sa.ColumnElement[bool] | None = None,
    *,
    lock: bool = False,
) -> domain.Image | None:
    """The image with tags and properties, in one statement; None if deleted or not `predicate`.

    With `lock` nobody else changes the image, its tags, properties and members until the
    transaction ends; it is the first lock of the transaction but for those of jobs.
    """
    wanted = [TABLE.c.id == image_id, image_table.ALIVE]
    if predicate is not None:
        wanted.append(predicate)
    if lock and conn.dialect.name == "postgresql":
        # A statement of its own: one that waited sees other tables as they were before it waited.
        conn.execute(sa.select(TABLE.c.id).where(*wanted).with_for_update(of=TABLE, key_share=True))
    statement = sa.select(*image_table.columns(conn.dialect.name)).where(*wanted)
    row = conn.execute(statement).mappings().one_or_none()
    return None if row is None else image_table.entity(row)


def update(
    conn: sa.Connection,
    image_id: str,
    values: Mapping[str, Any],
    *,
    revision: int | None = None,
) -> domain.Image:
    """Set columns, raise the revision, and return the image as it now is.

    With `revision`, only if the row still has it: else Conflict.
    Raises ImageNotFound for a missing or deleted image. The status is not set here.
    """
    forbidden = _NOT_UPDATABLE.intersection(values)
    if forbidden:
        raise ValueError(f"not set by update: {sorted(forbidden)}")
    changed = {"updated_at": metadata.now(), **values, "revision": TABLE.c.revision + 1}
    statement = sa.update(TABLE).where(TABLE.c.id == image_id, image_table.ALIVE).values(changed)
    if revision is not None:
        statement = statement.where(TABLE.c.revision == revision)
    now = statement.returning(*image_table.columns(conn.dialect.name))
    row = conn.execute(now).mappings().one_or_none()
    if row is not None:
        return image_table.entity(row)
    if get(conn, image_id) is None:
        raise errors.ImageNotFound(image_id=image_id)
    raise errors.Conflict(
        "Image {image_id} was changed meanwhile.",
        reason=errors.Reason.IMAGE_BUSY,
        image_id=image_id,
    )


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


def id_used(conn: sa.Connection, image_id: str) -> bool:
    """True if an image has or ever had this id."""
    return conn.scalar(sa.select(TABLE.c.id).where(TABLE.c.id == image_id)) is not None
