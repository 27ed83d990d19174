"""Objects of metadata definitions: groups of properties in a namespace."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from imagesvc import errors
from imagesvc.db import metadata, unique
from imagesvc.domain import metadef

TABLE = sa.Table(
    "metadef_object",
    metadata.METADATA,
    sa.Column(
        "namespace_id",
        metadata.word(),
        sa.ForeignKey("metadef_namespace.id", ondelete="CASCADE"),
        primary_key=True,
    ),
    sa.Column("name", metadata.word(), primary_key=True),
    sa.Column("description", metadata.word()),
    sa.Column("required", metadata.JsonAsSent(), nullable=False),
    sa.Column("properties", metadata.JsonAsSent(), nullable=False),
    sa.Column("created_at", metadata.UtcDateTime(), nullable=False),
    sa.Column("updated_at", metadata.UtcDateTime(), nullable=False),
)
_c = TABLE.c
_FIELDS = (_c.name, _c.description, _c.required, _c.properties, _c.created_at, _c.updated_at)


def insert(conn: sa.Connection, namespace_id: str, objects: Sequence[metadef.Object]) -> None:
    """Add objects. Raises Conflict if one is there already, or is given twice."""
    if not objects:
        return
    with unique.guard("The namespace has an object of this name already."):
        conn.execute(
            sa.insert(TABLE),
            [
                {
                    "namespace_id": namespace_id,
                    "created_at": one.created_at,
                    "updated_at": one.updated_at,
                    **_values(one),
                }
                for one in objects
            ],
        )


def list(conn: sa.Connection, namespace_id: str) -> tuple[metadef.Object, ...]:
    """All objects of a namespace, newest first."""
    statement = (
        sa.select(*_FIELDS)
        .where(_c.namespace_id == namespace_id)
        .order_by(_c.created_at.desc(), _c.name)
    )
    return tuple(_entity(row) for row in conn.execute(statement))


def get(conn: sa.Connection, namespace_id: str, name: str) -> metadef.Object:
    """One object. Raises MetadefNotFound."""
    row = conn.execute(sa.select(*_FIELDS).where(_key(namespace_id, name))).one_or_none()
    if row is None:
        raise errors.MetadefNotFound(noun="object", name=name)
    return _entity(row)


def update(
    conn: sa.Connection, namespace_id: str, name: str, new: metadef.Object
) -> metadef.Object:
    """Put `new` in place of the object, the times but for the last change stay.

    Raises MetadefNotFound, Conflict if its new name is taken.
    """
    statement = (
        sa.update(TABLE)
        .where(_key(namespace_id, name))
        .values(updated_at=metadata.now(), **_values(new))
        .returning(*_FIELDS)
    )
    with unique.guard(f"The namespace has an object {new.name} already."):
        row = conn.execute(statement).one_or_none()
    if row is None:
        raise errors.MetadefNotFound(noun="object", name=name)
    return _entity(row)


def delete(conn: sa.Connection, namespace_id: str, name: str) -> None:
    """Remove an object. Raises MetadefNotFound."""
    if conn.execute(sa.delete(TABLE).where(_key(namespace_id, name))).rowcount == 0:
        raise errors.MetadefNotFound(noun="object", name=name)


def clear(conn: sa.Connection, namespace_id: str) -> None:
    """Remove all objects of a namespace."""
    conn.execute(sa.delete(TABLE).where(_c.namespace_id == namespace_id))


def _values(one: metadef.Object) -> dict[str, Any]:
    return {
        "name": one.name,
        "description": one.description,
        "required": [*(one.required or ())],
        "properties": one.properties or {},
    }


def _key(namespace_id: str, name: str) -> sa.ColumnElement[bool]:
    return sa.and_(_c.namespace_id == namespace_id, _c.name == name)


def _entity(row: Any) -> metadef.Object:
    return metadef.Object(**{**row._mapping, "required": tuple(row.required)})
