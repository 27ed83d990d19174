"""The objects that hold the bytes of a resumable upload until its job has joined them."""

from collections.abc import Sequence

import sqlalchemy as sa

from imagesvc.db import metadata
from imagesvc.domain.upload import UploadPart

TABLE = sa.Table(
    "upload_part",
    metadata.METADATA,
    sa.Column("upload_id", metadata.word(), sa.ForeignKey("upload.id"), primary_key=True),
    sa.Column("offset_bytes", sa.BigInteger(), primary_key=True, autoincrement=False),
    sa.Column("size_bytes", sa.BigInteger(), nullable=False),
    sa.Column("store_id", metadata.word(), nullable=False),
    sa.Column("storage_key", metadata.word(), nullable=False),
    sa.UniqueConstraint("store_id", "storage_key"),
)
_COLUMNS = (TABLE.c.offset_bytes, TABLE.c.size_bytes, TABLE.c.store_id, TABLE.c.storage_key)


def put(conn: sa.Connection, upload_id: str, part: UploadPart) -> list[tuple[str, str]]:
    """Add a part in place of those that it begins with; (store id, key) of what was there."""
    covered = (TABLE.c.upload_id == upload_id, TABLE.c.offset_bytes >= part.offset_bytes)
    gone = _take(conn, *covered)
    conn.execute(
        sa.insert(TABLE).values(
            upload_id=upload_id,
            offset_bytes=part.offset_bytes,
            size_bytes=part.size_bytes,
            store_id=part.store_id,
            storage_key=part.storage_key,
        )
    )
    return gone


def list_for(conn: sa.Connection, upload_id: str) -> tuple[UploadPart, ...]:
    """All parts in the order of their bytes."""
    statement = sa.select(*_COLUMNS).where(TABLE.c.upload_id == upload_id)
    rows = conn.execute(statement.order_by(TABLE.c.offset_bytes)).mappings()
    return tuple(UploadPart(**row) for row in rows)


def last(conn: sa.Connection, upload_id: str, limit: int) -> Sequence[UploadPart]:
    """The last parts, the very last first."""
    statement = sa.select(*_COLUMNS).where(TABLE.c.upload_id == upload_id)
    rows = conn.execute(statement.order_by(TABLE.c.offset_bytes.desc()).limit(limit)).mappings()
    return tuple(UploadPart(**row) for row in rows)


def holds(conn: sa.Connection, store_id: str, storage_key: str) -> bool:
    """Whether an object holds bytes of an upload that count."""
    held = (TABLE.c.store_id == store_id, TABLE.c.storage_key == storage_key)
    return conn.scalar(sa.select(sa.literal(1)).where(*held)) is not None


def take(conn: sa.Connection, upload_id: str) -> list[tuple[str, str]]:
    """Forget all parts; (store id, key) of each."""
    return _take(conn, TABLE.c.upload_id == upload_id)


def _take(conn: sa.Connection, *which: sa.ColumnElement[bool]) -> list[tuple[str, str]]:
    gone = sa.delete(TABLE).where(*which).returning(TABLE.c.store_id, TABLE.c.storage_key)
    return [(row.store_id, row.storage_key) for row in conn.execute(gone)]
