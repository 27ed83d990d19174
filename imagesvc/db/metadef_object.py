"""Objects of metadata definitions: groups of properties in a namespace."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from imagesvc.db import metadata, metadef_part
from imagesvc.domain import metadef

TABLE = metadef_part.table(
    "metadef_object",
    sa.Column("description", metadata.word()),
    sa.Column("required", metadata.JsonAsSent(), nullable=False),
    sa.Column("properties", metadata.JsonAsSent(), nullable=False),
    sa.Column("created_at", metadata.UtcDateTime(), nullable=False),
    sa.Column("updated_at", metadata.UtcDateTime(), nullable=False),
)
_part = metadef_part.Part(TABLE, "object")

delete = _part.delete
clear = _part.clear


def insert(conn: sa.Connection, namespace_id: str, objects: Sequence[metadef.Object]) -> None:
    """Add objects. Raises Conflict if one is there already, or is given twice."""
    rows = [
        {"created_at": one.created_at, "updated_at": one.updated_at, **_values(one)}
        for one in objects
    ]
    _part.insert(conn, namespace_id, rows)


def list(conn: sa.Connection, namespace_id: str) -> tuple[metadef.Object, ...]:
    """All objects of a namespace, newest first."""
    newest = _part.all(namespace_id).order_by(TABLE.c.created_at.desc(), TABLE.c.name)
    return tuple(_entity(row) for row in conn.execute(newest))


def get(conn: sa.Connection, namespace_id: str, name: str) -> metadef.Object:
    """One object. Raises MetadefNotFound."""
    return _entity(_part.get(conn, namespace_id, name))


def update(
    conn: sa.Connection, namespace_id: str, name: str, new: metadef.Object
) -> metadef.Object:
    """Put `new` in place of the object, the times but for the last change stay.

    Raises MetadefNotFound, Conflict if its new name is taken.
    """
    values = {"updated_at": metadata.now(), **_values(new)}
    return _entity(_part.update(conn, namespace_id, name, values))


def _values(one: metadef.Object) -> dict[str, Any]:
    return {
        "name": one.name,
        "description": one.description,
        "required": [*(one.required or ())],
        "properties": one.properties or {},
    }


def _entity(row: Any) -> metadef.Object:
    return metadef.Object(**{**row._mapping, "required": tuple(row.required)})
