"""Copies whose bytes are not what was stored: none of them is read for a user again."""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from imagesvc.db import metadata

TABLE = sa.Table(
    "damaged_copy",
    metadata.METADATA,
    sa.Column("store_id", metadata.word(), primary_key=True),
    sa.Column("storage_key", metadata.word(), primary_key=True),
    sa.Column("copy_number", sa.Integer(), primary_key=True, autoincrement=False),
    sa.Column("fault", metadata.word(), nullable=False),
    sa.Column("found_at", metadata.UtcDateTime(), nullable=False),
    # The mark goes with the place that it is about.
    sa.ForeignKeyConstraint(
        ["store_id", "storage_key"],
        ["image_location.store_id", "image_location.storage_key"],
        ondelete="CASCADE",
    ),
)


def mark(conn: sa.Connection, store_id: str, storage_key: str, number: int, fault: str) -> bool:
    """Note what is wrong with a copy of a place that is there; False if that is noted already."""
    insert = (postgresql if conn.dialect.name == "postgresql" else sqlite).insert(TABLE)
    statement = insert.values(
        store_id=store_id,
        storage_key=storage_key,
        copy_number=number,
        fault=fault,
        found_at=metadata.now(),
    )
    keys = (TABLE.c.store_id, TABLE.c.storage_key, TABLE.c.copy_number)
    changed = conn.execute(
        statement.on_conflict_do_update(
            index_elements=keys,
            set_={"fault": statement.excluded.fault},
            where=TABLE.c.fault != statement.excluded.fault,
        ).returning(TABLE.c.fault)
    )
    return changed.first() is not None


def unmark(conn: sa.Connection, store_id: str, storage_key: str, number: int) -> bool:
    """The copy is whole; False if it had no mark."""
    removed = conn.execute(
        sa.delete(TABLE).where(
            TABLE.c.store_id == store_id,
            TABLE.c.storage_key == storage_key,
            TABLE.c.copy_number == number,
        )
    )
    return removed.rowcount == 1


def forget(conn: sa.Connection, store_id: str, storage_key: str) -> None:
    """Take away all marks of a place; called twice is no error."""
    conn.execute(
        sa.delete(TABLE).where(TABLE.c.store_id == store_id, TABLE.c.storage_key == storage_key)
    )
