"""Tags of images."""

from collections.abc import Iterable

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from imagesvc import errors
from imagesvc.db import metadata

TABLE = sa.Table(
    "image_tag",
    metadata.METADATA,
    sa.Column("image_id", metadata.word(), sa.ForeignKey("image.id"), primary_key=True),
    sa.Column("tag", metadata.word(), primary_key=True),
)
sa.Index("ix_image_tag_tag", TABLE.c.tag, TABLE.c.image_id)


def having(tag: str) -> sa.Select[str]:
    """Ids of the images that have the tag."""
    return sa.select(TABLE.c.image_id).where(TABLE.c.tag == tag)


def add(conn: sa.Connection, image_id: str, tag: str) -> None:
    """Add a tag; an image that has it keeps it."""
    put(conn, image_id, (tag,))


def remove(conn: sa.Connection, image_id: str, tag: str) -> None:
    """Remove a tag. Raises TagNotFound if the image does not have it."""
    found = conn.execute(sa.delete(TABLE).where(TABLE.c.image_id == image_id, TABLE.c.tag == tag))
    if found.rowcount == 0:
        raise errors.TagNotFound(image_id=image_id, tag=tag)


def replace(conn: sa.Connection, image_id: str, tags: Iterable[str]) -> None:
    """Make these all the tags of the image."""
    wanted = tuple(dict.fromkeys(tags))
    conn.execute(sa.delete(TABLE).where(TABLE.c.image_id == image_id, TABLE.c.tag.not_in(wanted)))
    put(conn, image_id, wanted)


def put(conn: sa.Connection, image_id: str, tags: Iterable[str]) -> None:
    """Add tags; those that are there stay."""
    rows = [{"image_id": image_id, "tag": tag} for tag in tags]
    if rows:
        insert = (postgresql if conn.dialect.name == "postgresql" else sqlite).insert(TABLE)
        conn.execute(insert.on_conflict_do_nothing(), rows)


def clear(conn: sa.Connection, image_id: str) -> None:
    """Remove all tags of an image."""
    conn.execute(sa.delete(TABLE).where(TABLE.c.image_id == image_id))
