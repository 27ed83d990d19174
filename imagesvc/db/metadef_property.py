"""Properties of metadata definitions that stand in a namespace itself."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from imagesvc.db import metadata, metadef_part
from imagesvc.domain import metadef

TABLE = metadef_part.table(
    "metadef_property", sa.Column("definition", metadata.JsonAsSent(), nullable=False)
)
_part = metadef_part.Part(TABLE, "property")

delete = _part.delete
clear = _part.clear


def insert(conn: sa.Connection, namespace_id: str, properties: Sequence[metadef.Property]) -> None:
    """Add properties. Raises Conflict if one is there already."""
    _part.insert(conn, namespace_id, [_values(one) for one in properties])


def list(conn: sa.Connection, namespace_id: str) -> tuple[metadef.Property, ...]:
    """All properties of a namespace by name."""
    by_name = _part.all(namespace_id).order_by(TABLE.c.name)
    return tuple(metadef.Property(*row) for row in conn.execute(by_name))


def get(conn: sa.Connection, namespace_id: str, name: str) -> metadef.Property:
    """One property. Raises MetadefNotFound."""
    row = _part.get(conn, namespace_id, name)
    return metadef.Property(row.name, row.definition)


def update(conn: sa.Connection, namespace_id: str, name: str, new: metadef.Property) -> None:
    """Put `new` in place of the property.

    Raises MetadefNotFound, Conflict if its new name is taken.
    """
    _part.update(conn, namespace_id, name, _values(new))


def _values(one: metadef.Property) -> dict[str, Any]:
    return {"name": one.name, "definition": one.definition}
