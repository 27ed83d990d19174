"""Tags of metadata definitions: words that a namespace offers."""

from collections.abc import Sequence

import sqlalchemy as sa

from imagesvc.db import metadata, metadef_part
from imagesvc.domain import metadef

TABLE = metadef_part.table(
    "metadef_tag",
    sa.Column("created_at", metadata.UtcDateTime(), nullable=False),
    sa.Column("updated_at", metadata.UtcDateTime(), nullable=False),
)
_c = TABLE.c
_part = metadef_part.Part(TABLE, "tag")

delete = _part.delete
clear = _part.clear


def insert(conn: sa.Connection, namespace_id: str, tags: Sequence[metadef.Tag]) -> None:
    """Add tags. Raises Conflict if one is there already, or is given twice."""
    rows = [
        {"name": one.name, "created_at": one.created_at, "updated_at": one.updated_at}
        for one in tags
    ]
    _part.insert(conn, namespace_id, rows)


def list(
    conn: sa.Connection, namespace_id: str, query: metadef.TagQuery
) -> tuple[metadef.Tag, ...]:
    """The tags that `query` asks for. Raises MetadefNotFound if the marker is unknown."""
    keys = [_c[query.sort_key]]
    keys += [_c.name] if query.sort_key != metadef.TagSortKey.NAME else []
    statement = _part.all(namespace_id)
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
    return metadef.Tag(*_part.get(conn, namespace_id, name))


def rename(conn: sa.Connection, namespace_id: str, name: str, new: str) -> metadef.Tag:
    """Give a tag another name. Raises MetadefNotFound, Conflict if that is taken."""
    values = {"name": new, "updated_at": metadata.now()}
    return metadef.Tag(*_part.update(conn, namespace_id, name, values))
