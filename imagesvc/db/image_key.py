"""Wrapped data keys of encrypted images, a row for each project that can open one."""

from collections.abc import Sequence

import sqlalchemy as sa

from imagesvc.db import image_table, metadata, unique
from imagesvc.domain.encryption_key import ImageKey

TABLE = sa.Table(
    "image_key",
    metadata.METADATA,
    sa.Column("image_id", metadata.word(), sa.ForeignKey("image.id"), primary_key=True),
    sa.Column("project_id", metadata.word(), primary_key=True),
    sa.Column("backend_id", metadata.word(), nullable=False),
    sa.Column("key_id", metadata.word(), nullable=False),
    sa.Column("version", sa.BigInteger(), nullable=False),
    sa.Column("wrapped", sa.LargeBinary(), nullable=False),
)
# By which the rows of a key are read in order when it is rotated.
sa.Index(
    "ix_image_key_key", TABLE.c.backend_id, TABLE.c.key_id, TABLE.c.image_id, TABLE.c.project_id
)
_FIELDS = tuple(column.name for column in TABLE.columns)


def put(conn: sa.Connection, key: ImageKey) -> None:
    """Add the row of an image and a project, in the place of one that is there."""
    conn.execute(unique.put(conn, TABLE, {name: getattr(key, name) for name in _FIELDS}))


def get(conn: sa.Connection, image_id: str, project_id: str) -> ImageKey | None:
    """The row by which a project opens an image."""
    found = conn.execute(sa.select(TABLE).where(_row(image_id, project_id))).one_or_none()
    return None if found is None else ImageKey(*found)


def of_owner(conn: sa.Connection, image_id: str) -> ImageKey | None:
    """The row of the project that has the image."""
    image = image_table.TABLE
    owned = sa.select(TABLE).join(
        image, sa.and_(image.c.id == TABLE.c.image_id, image.c.owner == TABLE.c.project_id)
    )
    found = conn.execute(owned.where(TABLE.c.image_id == image_id)).one_or_none()
    return None if found is None else ImageKey(*found)


def remove(conn: sa.Connection, image_id: str, project_id: str | None = None) -> None:
    """Forget how a project opens an image, or how anybody does."""
    gone = TABLE.c.image_id == image_id
    if project_id is not None:
        gone = _row(image_id, project_id)
    conn.execute(sa.delete(TABLE).where(gone))


def page(
    conn: sa.Connection, backend_id: str, key_id: str, after: tuple[str, str], limit: int
) -> Sequence[ImageKey]:
    """Rows under a key of the KMS by image and project, those after a pair of them."""
    place = sa.tuple_(TABLE.c.image_id, TABLE.c.project_id)
    statement = (
        sa.select(TABLE)
        .where(TABLE.c.backend_id == backend_id, TABLE.c.key_id == key_id)
        .where(place > sa.tuple_(*(sa.literal(one) for one in after)))
        .order_by(TABLE.c.image_id, TABLE.c.project_id)
        .limit(limit)
    )
    return [ImageKey(*row) for row in conn.execute(statement)]


def rewrap(conn: sa.Connection, key: ImageKey, wrapped: bytes, version: int) -> bool:
    """Put another wrapping of the same data key in the place of this one; False if it is another."""
    changed = (
        sa.update(TABLE)
        .where(_row(key.image_id, key.project_id), TABLE.c.wrapped == key.wrapped)
        .values(wrapped=wrapped, version=version)
    )
    return conn.execute(changed).rowcount == 1


def count(conn: sa.Connection, backend_id: str, key_id: str) -> int:
    """How many rows there are under a key of the KMS."""
    statement = sa.select(sa.func.count()).where(
        TABLE.c.backend_id == backend_id, TABLE.c.key_id == key_id
    )
    return conn.execute(statement).scalar_one()


def _row(image_id: str, project_id: str) -> sa.ColumnElement[bool]:
    return sa.and_(TABLE.c.image_id == image_id, TABLE.c.project_id == project_id)
