"""Resumable uploads: where each stands."""

import dataclasses
import datetime

import sqlalchemy as sa

from imagesvc.db import metadata

TABLE = sa.Table(
    "upload",
    metadata.METADATA,
    sa.Column("id", metadata.word(), primary_key=True),
    sa.Column("image_id", metadata.word(), sa.ForeignKey("image.id"), nullable=False),
    sa.Column("disk_index", sa.Integer(), nullable=False),
    sa.Column("project_id", metadata.word(), nullable=False),
    sa.Column("user_id", metadata.word()),
    sa.Column("store_id", metadata.word(), nullable=False),
    sa.Column("storage_key", metadata.word(), nullable=False),
    sa.Column("store_upload_id", metadata.word()),
    sa.Column("offset_bytes", sa.BigInteger(), nullable=False),
    sa.Column("size_bytes", sa.BigInteger()),
    sa.Column("expected_sha256", metadata.word()),
    sa.Column("created_at", metadata.UtcDateTime(), nullable=False),
    sa.Column("expires_at", metadata.UtcDateTime(), nullable=False),
    sa.UniqueConstraint("store_id", "storage_key"),
)
sa.Index("ix_upload_image_id", TABLE.c.image_id)
sa.Index("ix_upload_expires_at", TABLE.c.expires_at)


@dataclasses.dataclass(frozen=True, slots=True)
class Upload:
    """An upload that goes on at `offset_bytes`; `size_bytes` None while not yet told."""

    id: str
    image_id: str
    disk_index: int
    project_id: str
    user_id: str | None
    store_id: str
    storage_key: str
    store_upload_id: str | None
    offset_bytes: int
    size_bytes: int | None
    expected_sha256: str | None
    created_at: datetime.datetime
    expires_at: datetime.datetime


def insert(conn: sa.Connection, upload: Upload) -> None:
    """Add an upload."""
    conn.execute(sa.insert(TABLE).values(dataclasses.asdict(upload)))


def get(conn: sa.Connection, upload_id: str) -> Upload | None:
    """The upload, or None."""
    row = conn.execute(sa.select(TABLE).where(TABLE.c.id == upload_id)).mappings().one_or_none()
    return None if row is None else Upload(**row)


def delete(conn: sa.Connection, upload_id: str) -> None:
    """Remove an upload; called twice is no error."""
    conn.execute(sa.delete(TABLE).where(TABLE.c.id == upload_id))
