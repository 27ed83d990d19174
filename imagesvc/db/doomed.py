"""Stored bytes that nothing refers to any more: to be deleted by the reaper."""

from collections.abc import Iterable

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from imagesvc.db import metadata

TABLE = sa.Table(
    "doomed_object",
    metadata.METADATA,
    sa.Column("store_id", metadata.word(), primary_key=True),
    sa.Column("storage_key", metadata.word(), primary_key=True),
    sa.Column("since", metadata.UtcDateTime(), nullable=False),
)
sa.Index("ix_doomed_object_since", TABLE.c.since)


def add(conn: sa.Connection, store_id: str, storage_key: str) -> None:
    """Doom an object; one that is doomed already stays so."""
    add_all(conn, [(store_id, storage_key)])


def add_all(conn: sa.Connection, places: Iterable[tuple[str, str]]) -> None:
    """Doom objects, each (store id, storage key), of which there may be thousands."""
    insert = (postgresql if conn.dialect.name == "postgresql" else sqlite).insert(TABLE)
    now = metadata.now()
    rows = [{"store_id": store, "storage_key": key, "since": now} for store, key in places]
    if rows:
        conn.execute(insert.on_conflict_do_nothing(), rows)


def list(
    conn: sa.Connection, limit: int, store_id: str | None = None
) -> tuple[tuple[str, str], ...]:
    """(store id, storage key), of one store or of all, longest doomed first."""
    statement = (
        sa.select(TABLE.c.store_id, TABLE.c.storage_key).order_by(TABLE.c.since).limit(limit)
    )
    if store_id is not None:
        statement = statement.where(TABLE.c.store_id == store_id)
    return tuple((row.store_id, row.storage_key) for row in conn.execute(statement))


def remove(conn: sa.Connection, store_id: str, storage_key: str) -> None:
    """The object is deleted; called twice is no error."""
    conn.execute(
        sa.delete(TABLE).where(TABLE.c.store_id == store_id, TABLE.c.storage_key == storage_key)
    )
