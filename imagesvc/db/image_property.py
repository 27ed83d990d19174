"""Free properties of images: a name and a text each."""

from collections.abc import Iterable, Mapping

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from imagesvc.db import metadata

TABLE = sa.Table(
    "image_property",
    metadata.METADATA,
    sa.Column("image_id", metadata.word(), sa.ForeignKey("image.id"), primary_key=True),
    sa.Column("name", metadata.word(), primary_key=True),
    sa.Column("value", metadata.word(), nullable=False),
)
sa.Index("ix_image_property_value", TABLE.c.name, metadata.start(TABLE.c.value), TABLE.c.image_id)


def having(name: str, value: str) -> sa.Select[str]:
    """Ids of the images whose property `name` is `value`."""
    return sa.select(TABLE.c.image_id).where(
        TABLE.c.name == name, metadata.equal(TABLE.c.value, value)
    )


def put(conn: sa.Connection, image_id: str, properties: Mapping[str, str]) -> None:
    """Create or overwrite these properties."""
    if not properties:
        return
    rows = [
        {"image_id": image_id, "name": name, "value": value} for name, value in properties.items()
    ]
    insert = (postgresql if conn.dialect.name == "postgresql" else sqlite).insert(TABLE)
    conn.execute(
        insert.on_conflict_do_update(
            index_elements=[TABLE.c.image_id, TABLE.c.name],
            set_={"value": insert.excluded.value},
        ),
        rows,
    )


def remove(conn: sa.Connection, image_id: str, names: Iterable[str]) -> None:
    """Remove these properties; a missing one is no error."""
    chosen = tuple(names)
    if chosen:
        conn.execute(sa.delete(TABLE).where(TABLE.c.image_id == image_id, TABLE.c.name.in_(chosen)))


def clear(conn: sa.Connection, image_id: str) -> None:
    """Remove all properties of an image."""
    conn.execute(sa.delete(TABLE).where(TABLE.c.image_id == image_id))
