"""URLs elsewhere at which the bytes of images are, in their order; an image has these or disks."""

from collections.abc import Iterable, Sequence

import sqlalchemy as sa

from imagesvc.db import metadata
from imagesvc.domain.foreign_location import ForeignLocation

TABLE = sa.Table(
    "foreign_location",
    metadata.METADATA,
    sa.Column("image_id", metadata.word(), sa.ForeignKey("image.id"), primary_key=True),
    # From 0 on, without gaps.
    sa.Column("position", sa.Integer(), primary_key=True, autoincrement=False),
    sa.Column("store_id", metadata.word(), nullable=False),
    sa.Column("url", metadata.word(), nullable=False),
    sa.Column("metadata", metadata.Json(), nullable=False),
)


def put(conn: sa.Connection, image_id: str, locations: Iterable[ForeignLocation]) -> None:
    """Let these be all that the image has; the caller raises the image's revision."""
    clear(conn, image_id)
    rows = [
        {
            "image_id": image_id,
            "position": position,
            "store_id": one.store_id,
            "url": one.url,
            "metadata": dict(one.metadata),
        }
        for position, one in enumerate(locations)
    ]
    if rows:
        conn.execute(sa.insert(TABLE), rows)


def clear(conn: sa.Connection, image_id: str) -> None:
    """Forget all of an image; called twice is no error."""
    conn.execute(sa.delete(TABLE).where(TABLE.c.image_id == image_id))


def of(conn: sa.Connection, image_ids: Sequence[str]) -> dict[str, tuple[ForeignLocation, ...]]:
    """Image id -> locations in their order, if it has any."""
    statement = (
        sa.select(TABLE)
        .where(TABLE.c.image_id.in_(image_ids))
        .order_by(TABLE.c.image_id, TABLE.c.position)
    )
    found: dict[str, tuple[ForeignLocation, ...]] = {}
    for row in conn.execute(statement).mappings():
        one = ForeignLocation(row["store_id"], row["url"], row["metadata"])
        found[row["image_id"]] = (*found.get(row["image_id"], ()), one)
    return found
