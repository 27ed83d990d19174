"""Objects that are being written: noted before the first byte, so that a kill leaves a trace."""

import dataclasses
import datetime
from collections.abc import Collection

import sqlalchemy as sa

from imagesvc.db import metadata

TABLE = sa.Table(
    "pending_object",
    metadata.METADATA,
    sa.Column("store_id", metadata.word(), primary_key=True),
    sa.Column("storage_key", metadata.word(), primary_key=True),
    sa.Column("image_id", metadata.word(), nullable=False),
    sa.Column("created_at", metadata.UtcDateTime(), nullable=False),
    sa.Column("owner_token", metadata.word(), nullable=False),
)
sa.Index("ix_pending_object_created_at", TABLE.c.created_at)


@dataclasses.dataclass(frozen=True, slots=True)
class PendingObject:
    """Bytes under way to `storage_key`; `owner_token` names the upload or job that writes."""

    store_id: str
    storage_key: str
    image_id: str
    created_at: datetime.datetime
    owner_token: str


def insert(
    conn: sa.Connection, store_id: str, storage_key: str, image_id: str, owner_token: str
) -> None:
    """Note an object before its bytes are written; the key must be fresh."""
    conn.execute(
        sa.insert(TABLE).values(
            store_id=store_id,
            storage_key=storage_key,
            image_id=image_id,
            created_at=metadata.now(),
            owner_token=owner_token,
        )
    )


def remove(conn: sa.Connection, store_id: str, storage_key: str) -> bool:
    """Forget the note; False if it was gone, and the object therefore doomed meanwhile."""
    removed = conn.execute(
        sa.delete(TABLE).where(TABLE.c.store_id == store_id, TABLE.c.storage_key == storage_key)
    )
    return removed.rowcount == 1


def is_noted(conn: sa.Connection, store_id: str, storage_key: str) -> bool:
    """Whether the object is still under way."""
    same = (TABLE.c.store_id == store_id, TABLE.c.storage_key == storage_key)
    return conn.execute(sa.select(TABLE.c.store_id).where(*same)).first() is not None


def drop(conn: sa.Connection, note: PendingObject) -> bool:
    """Forget the note if it is still as it was read; False if it is gone, or another's."""
    same = (TABLE.c[name] == value for name, value in dataclasses.asdict(note).items())
    return conn.execute(sa.delete(TABLE).where(*same)).rowcount == 1


def hand_over(conn: sa.Connection, owner_token: str, heir: str) -> PendingObject | None:
    """The object of `owner_token` is `heir`'s from now on; None if there is none."""
    changed = (
        sa.update(TABLE)
        .where(TABLE.c.owner_token == owner_token)
        .values(owner_token=heir, created_at=metadata.now())
        .returning(TABLE)
    )
    row = conn.execute(changed).mappings().one_or_none()
    return None if row is None else PendingObject(**row)


def of(conn: sa.Connection, owner_token: str) -> list[tuple[str, str]]:
    """(store id, key) of the owner's notes."""
    statement = sa.select(TABLE.c.store_id, TABLE.c.storage_key)
    found = conn.execute(statement.where(TABLE.c.owner_token == owner_token))
    return [(row.store_id, row.storage_key) for row in found]


def take(conn: sa.Connection, owner_tokens: Collection[str]) -> list[tuple[str, str]]:
    """Forget the notes of these owners, whose work is over; (store id, key) of each."""
    removed = conn.execute(
        sa.delete(TABLE)
        .where(TABLE.c.owner_token.in_(owner_tokens))
        .returning(TABLE.c.store_id, TABLE.c.storage_key)
    )
    return [(row.store_id, row.storage_key) for row in removed]


def stale(conn: sa.Connection, before: datetime.datetime) -> tuple[PendingObject, ...]:
    """Notes older than this moment, oldest first."""
    statement = sa.select(TABLE).where(TABLE.c.created_at < before).order_by(TABLE.c.created_at)
    return tuple(PendingObject(**row) for row in conn.execute(statement).mappings())
