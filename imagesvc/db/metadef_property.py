"""Properties of metadata definitions that stand in a namespace itself."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from imagesvc import errors
from imagesvc.db import metadata, unique
from imagesvc.domain import metadef

TABLE = sa.Table(
    "metadef_property",
    metadata.METADATA,
    sa.Column(
        "namespace_id",
        metadata.word(),
        sa.ForeignKey("metadef_namespace.id", ondelete="CASCADE"),
        primary_key=True,
    ),
    sa.Column("name", metadata.word(), primary_key=True),
    sa.Column("definition", metadata.JsonAsSent(), nullable=False),
)
_c = TABLE.c
_FIELDS = (_c.name, _c.definition)


def insert(conn: sa.Connection, namespace_id: str, properties: Sequence[metadef.Property]) -> None:
    """Add properties. Raises Conflict if one is there already."""
    if not properties:
        return
    with unique.guard("The namespace has a property of this name already."):
        conn.execute(
            sa.insert(TABLE),
            [{"namespace_id": namespace_id, **_values(one)} for one in properties],
        )


def list(conn: sa.Connection, namespace_id: str) -> tuple[metadef.Property, ...]:
    """All properties of a namespace by name."""
    statement = sa.select(*_FIELDS).where(_c.namespace_id == namespace_id).order_by(_c.name)
    return tuple(metadef.Property(*row) for row in conn.execute(statement))


def get(conn: sa.Connection, namespace_id: str, name: str) -> metadef.Property:
    """One property. Raises MetadefNotFound."""
    row = conn.execute(sa.select(*_FIELDS).where(_key(namespace_id, name))).one_or_none()
    if row is None:
        raise errors.MetadefNotFound(noun="property", name=name)
    return metadef.Property(*row)


def update(conn: sa.Connection, namespace_id: str, name: str, new: metadef.Property) -> None:
    """Put `new` in place of the property.

    Raises MetadefNotFound, Conflict if its new name is taken.
    """
    statement = sa.update(TABLE).where(_key(namespace_id, name)).values(_values(new))
    with unique.guard(f"The namespace has a property {new.name} already."):
        changed = conn.execute(statement).rowcount
    if changed == 0:
        raise errors.MetadefNotFound(noun="property", name=name)


def delete(conn: sa.Connection, namespace_id: str, name: str) -> None:
    """Remove a property. Raises MetadefNotFound."""
    if conn.execute(sa.delete(TABLE).where(_key(namespace_id, name))).rowcount == 0:
        raise errors.MetadefNotFound(noun="property", name=name)


def clear(conn: sa.Connection, namespace_id: str) -> None:
    """Remove all properties of a namespace."""
    conn.execute(sa.delete(TABLE).where(_c.namespace_id == namespace_id))


def _values(one: metadef.Property) -> dict[str, Any]:
    return {"name": one.name, "definition": one.definition}


def _key(namespace_id: str, name: str) -> sa.ColumnElement[bool]:
    return sa.and_(_c.namespace_id == namespace_id, _c.name == name)
