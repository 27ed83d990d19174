"""Object stores of projects: insert, get, list, update, delete."""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from imagesvc import errors
from imagesvc.db import metadata, unique
from imagesvc.domain.object_store import ObjectStore

TABLE = sa.Table(
    "object_store",
    metadata.METADATA,
    sa.Column("id", metadata.word(), primary_key=True),
    sa.Column("project_id", metadata.word(), nullable=False),
    sa.Column("name", metadata.word(), nullable=False),
    sa.Column("endpoint", metadata.word(), nullable=False),
    sa.Column("region", metadata.word(), nullable=False),
    sa.Column("buckets", metadata.Json(), nullable=False),
    sa.Column("access_key", metadata.word(), nullable=False),
    sa.Column("sealed_key", metadata.word(), nullable=False),
    sa.Column("created_at", metadata.UtcDateTime(), nullable=False),
    sa.Column("updated_at", metadata.UtcDateTime(), nullable=False),
    # Also the index by which the list of a project is read in order.
    sa.UniqueConstraint("project_id", "name"),
)
_TAKEN = "The project has an object store of that name."


def insert(conn: sa.Connection, store: ObjectStore) -> None:
    """Add a row. Raises Conflict if the project has one of that name."""
    statement = (postgresql if conn.dialect.name == "postgresql" else sqlite).insert(TABLE)
    values = {column.name: getattr(store, column.name) for column in TABLE.columns}
    values["buckets"] = [*store.buckets]
    made = conn.execute(
        statement.values(values).on_conflict_do_nothing().returning(TABLE.c.id)
    )  # fmt: skip
    if made.one_or_none() is None:
        raise errors.Conflict(_TAKEN)


def get(conn: sa.Connection, store_id: str, project_id: str) -> ObjectStore:
    """The row of a project. Raises ObjectStoreNotFound."""
    found = conn.execute(sa.select(TABLE).where(_key(store_id, project_id))).mappings()
    row = found.one_or_none()
    if row is None:
        raise errors.ObjectStoreNotFound(object_store_id=store_id)
    return _entity(row)


def list_page(
    conn: sa.Connection, project_id: str, marker: str | None = None, limit: int = 25
) -> tuple[ObjectStore, ...]:
    """Rows of a project by name, those whose name comes after `marker`."""
    statement = sa.select(TABLE).where(TABLE.c.project_id == project_id)
    if marker is not None:
        statement = statement.where(TABLE.c.name > marker)
    rows = conn.execute(statement.order_by(TABLE.c.name).limit(limit)).mappings()
    return tuple(_entity(row) for row in rows)


def update(
    conn: sa.Connection, store_id: str, project_id: str, values: Mapping[str, Any]
) -> ObjectStore:
    """Set columns. Raises ObjectStoreNotFound, Conflict for a name that is taken."""
    changed = {**values, "updated_at": metadata.now()}
    if "buckets" in changed:
        changed["buckets"] = [*changed["buckets"]]
    with unique.guard(_TAKEN):
        conn.execute(sa.update(TABLE).where(_key(store_id, project_id)).values(changed))
    return get(conn, store_id, project_id)


def delete(conn: sa.Connection, store_id: str, project_id: str) -> None:
    """Remove the row. Raises ObjectStoreNotFound."""
    if conn.execute(sa.delete(TABLE).where(_key(store_id, project_id))).rowcount == 0:
        raise errors.ObjectStoreNotFound(object_store_id=store_id)


def _key(store_id: str, project_id: str) -> sa.ColumnElement[bool]:
    return sa.and_(TABLE.c.id == store_id, TABLE.c.project_id == project_id)


def _entity(row: sa.RowMapping) -> ObjectStore:
    values = dict(row)
    return ObjectStore(**{**values, "buckets": tuple(values["buckets"])})
