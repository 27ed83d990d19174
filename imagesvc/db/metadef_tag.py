"""Tags of metadata definitions: words that a namespace offers."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from imagesvc import errors
from imagesvc.db import metadata, unique
from imagesvc.domain import metadef

TABLE = sa.Table(
    "metadef_tag",
    metadata.METADATA,
    sa.Column(
        "namespace_id",
        metadata.word(),
        sa.ForeignKey("metadef_namespace.id", ondelete="CASCADE"),
        primary_key=True,
    ),
    sa.Column("name", metadata.word(), primary_key=True),
    sa.Column("created_at", metadata.UtcDateTime(), nullable=False),
    sa.Column("updated_at", metadata.UtcDateTime(), nullable=False),
)
_c = TABLE.c
_FIELDS = (_c.name, _c.created_at, _c.updated_at)


def insert(conn: sa.Connection, namespace_id: str, tags: Sequence[metadef.Tag]) -> None:
    """Add tags. Raises Conflict if one is there already, or is given twice."""
    if not tags:
        return
    with unique.guard("The namespace has a tag of this name already."):
        conn.execute(
            sa.insert(TABLE),
            [
                {
                    "namespace_id": namespace_id,
                    "name": one.name,
                    "created_at": one.created_at,
                    "updated_at": one.updated_at,
                }
                for one in tags
            ],
        )


def list(
    conn: sa.Connection, namespace_id: str, query: metadef.TagQuery
) -> tuple[metadef.Tag, ...]:
    """The tags that `query` asks for. Raises MetadefNotFound if the marker is unknown."""
    keys = [_c[query.sort_key]]
    keys += [_c.name] if query.sort_key != metadef.TagSortKey.NAME else []
    statement = sa.select(*_FIELDS).where(_c.namespace_id == namespace_id)
    if query.marker is not None:
        marker = get(conn, namespace_id, query.marker)
        row = sa.tuple_(*keys)
        edge = sa.tuple_(*(sa.bindparam(None, getattr(marker, key.name), key.type) for key in keys))
        statement = statement.where(row < edge if query.descending else row > edge)
    statement = statement.order_by(*(key.desc() if query.descending else key.asc() for key in keys))
    if query.limit is not None:
        statement = statement.limit(query.limit)
    return tuple(metadef.Tag(*row) for row in conn.execute(statement))


def get(conn: sa.Connection, namespace_id: str, name: str) -> metadef.Tag:
    """One tag. Raises MetadefNotFound."""
    row = conn.execute(sa.select(*_FIELDS).where(_key(namespace_id, name))).one_or_none()
    if row is None:
        raise errors.MetadefNotFound(noun="tag", name=name)
    return metadef.Tag(*row)


def rename(conn: sa.Connection, namespace_id: str, name: str, new: str) -> metadef.Tag:
    """Give a tag another name. Raises MetadefNotFound, Conflict if that is taken."""
    statement: Any = (
        sa.update(TABLE)
        .where(_key(namespace_id, name))
        .values(name=new, updated_at=metadata.now())
        .returning(*_FIELDS)
    )
    with unique.guard(f"The namespace has a tag {new} already."):
        row = conn.execute(statement).one_or_none()
    if row is None:
        raise errors.MetadefNotFound(noun="tag", name=name)
    return metadef.Tag(*row)


def delete(conn: sa.Connection, namespace_id: str, name: str) -> None:
    """Remove a tag. Raises MetadefNotFound."""
    if conn.execute(sa.delete(TABLE).where(_key(namespace_id, name))).rowcount == 0:
        raise errors.MetadefNotFound(noun="tag", name=name)


def clear(conn: sa.Connection, namespace_id: str) -> None:
    """Remove all tags of a namespace."""
    conn.execute(sa.delete(TABLE).where(_c.namespace_id == namespace_id))


def _key(namespace_id: str, name: str) -> sa.ColumnElement[bool]:
    return sa.and_(_c.namespace_id == namespace_id, _c.name == name)
