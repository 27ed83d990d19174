"""Namespaces of metadata definitions: insert, get, update, delete, and a page of them."""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from imagesvc import errors
from imagesvc.db import metadata, metadef_resource_type, unique
from imagesvc.domain import metadef

_word = metadata.word

TABLE = sa.Table(
    "metadef_namespace",
    metadata.METADATA,
    sa.Column("id", _word(), primary_key=True),
    sa.Column("name", _word(), nullable=False, unique=True),
    sa.Column("display_name", _word()),
    sa.Column("description", _word()),
    sa.Column("visibility", _word(), nullable=False),
    sa.Column("protected", sa.Boolean(), nullable=False),
    sa.Column("owner", _word()),
    sa.Column("created_at", metadata.UtcDateTime(), nullable=False),
    sa.Column("updated_at", metadata.UtcDateTime(), nullable=False),
)
_c = TABLE.c
sa.Index("ix_metadef_namespace_newest", _c.created_at, _c.id)

_FIELDS = tuple(field.name for field in dataclasses.fields(metadef.Namespace))
_COLUMNS = tuple(_c[field] for field in _FIELDS)
_NULLABLE = frozenset({"display_name", "description", "owner"})
_TIES = ("created_at", "id")


def insert(conn: sa.Connection, namespace: metadef.Namespace) -> None:
    """Add a namespace. Raises Conflict if the name is taken."""
    with unique.guard(_taken(namespace.name)):
        conn.execute(sa.insert(TABLE), {field: getattr(namespace, field) for field in _FIELDS})


def get(
    conn: sa.Connection,
    name: str,
    predicate: sa.ColumnElement[bool] | None = None,
    *,
    lock: bool = False,
) -> metadef.Namespace | None:
    """The namespace, if it is there and meets `predicate`.

    With `lock` nobody else changes it or what is in it until the transaction ends.
    """
    statement = sa.select(*_COLUMNS).where(_c.name == name)
    if predicate is not None:
        statement = statement.where(predicate)
    if lock:
        statement = statement.with_for_update(key_share=True)
    row = conn.execute(statement).one_or_none()
    return None if row is None else _entity(row)


def update(
    conn: sa.Connection, namespace_id: str, fields: metadef.NamespaceFields
) -> metadef.Namespace:
    """Give all plain fields new values, the name among them.

    Raises Conflict if the name is taken, MetadefNotFound.
    """
    values = {**dataclasses.asdict(fields), "updated_at": metadata.now()}
    changed = sa.update(TABLE).where(_c.id == namespace_id).values(values).returning(*_COLUMNS)
    with unique.guard(_taken(fields.name)):
        row = conn.execute(changed).one_or_none()
    if row is None:
        raise errors.MetadefNotFound(noun="namespace", name=fields.name)
    return _entity(row)


def delete(conn: sa.Connection, namespace_id: str) -> None:
    """Remove a namespace with all that is in it. Raises MetadefNotFound."""
    if conn.execute(sa.delete(TABLE).where(_c.id == namespace_id)).rowcount == 0:
        raise errors.MetadefNotFound(noun="namespace", name=namespace_id)


def list_page(
    conn: sa.Connection, query: metadef.NamespaceQuery, predicate: sa.ColumnElement[bool]
) -> metadef.NamespacePage:
    """The namespaces that `query` asks for and meet `predicate`: two statements, three with marker.

    Raises MetadefNotFound if the marker is unknown or does not meet `predicate`.
    """
    keys = _keys(query.sort_key)
    statement = sa.select(*_COLUMNS).where(predicate)
    if query.marker is not None:
        edge = _edge(conn, query.marker, predicate, keys)
        row, values = sa.tuple_(*map(_sortable, keys)), sa.tuple_(*edge)
        statement = statement.where(row < values if query.descending else row > values)
    if query.limit == 0:
        return metadef.NamespacePage((), full=False)
    if query.visibility is not None:
        statement = statement.where(_c.visibility == query.visibility)
    if query.resource_types:
        statement = statement.where(
            _c.id.in_(metadef_resource_type.associated_with(query.resource_types))
        )
    order = [_sortable(key).desc() if query.descending else _sortable(key).asc() for key in keys]
    rows = conn.execute(statement.order_by(*order).limit(query.limit)).all()
    found = [_entity(row) for row in rows]
    associations = metadef_resource_type.associations_of(conn, [one.id for one in found])
    return metadef.NamespacePage(
        tuple((one, associations.get(one.id, ())) for one in found),
        full=len(found) == query.limit,
    )


def _keys(sort_key: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys((str(sort_key), *_TIES)))


@functools.cache
def _sortable(key: str) -> sa.ColumnElement[Any]:
    """The column, an absent value as empty: one comparison of row values finds the next page."""
    return sa.func.coalesce(_c[key], sa.literal_column("''")) if key in _NULLABLE else _c[key]


def _edge(
    conn: sa.Connection, marker: str, predicate: sa.ColumnElement[bool], keys: tuple[str, ...]
) -> list[Any]:
    columns = (_sortable(key).label(key) for key in keys)
    row = conn.execute(sa.select(*columns).where(_c.name == marker, predicate)).one_or_none()
    if row is None:
        raise errors.MetadefNotFound(noun="namespace", name=marker)
    return [sa.bindparam(None, value, _c[key].type) for key, value in zip(keys, row, strict=True)]


def _taken(name: str) -> str:
    return f"There is a namespace {name} already."


def _entity(row: Any) -> metadef.Namespace:
    values: Mapping[str, Any] = row._mapping
    return metadef.Namespace(**{**values, "visibility": metadef.Visibility(row.visibility)})
