"""Resumable uploads: where each stands, and who writes to it now."""

import dataclasses
import datetime

import sqlalchemy as sa

from imagesvc.db import job_table, metadata
from imagesvc.db import marker as markers
from imagesvc.domain.upload import Upload

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
    sa.Column("store_upload_id", metadata.word()),  # no release has written it
    sa.Column("offset_bytes", sa.BigInteger(), nullable=False),
    sa.Column("size_bytes", sa.BigInteger()),
    sa.Column("expected_sha256", metadata.word()),
    sa.Column("created_at", metadata.UtcDateTime(), nullable=False),
    sa.Column("expires_at", metadata.UtcDateTime(), nullable=False),
    sa.Column("lease_token", sa.BigInteger(), nullable=False, server_default="0"),
    sa.Column("lease_until", metadata.UtcDateTime()),
    sa.Column("job_id", metadata.word()),
    sa.Column("client_metadata", sa.Text(), nullable=False, server_default=""),
    sa.UniqueConstraint("store_id", "storage_key"),
)
sa.Index("ix_upload_image_id", TABLE.c.image_id)
sa.Index("ix_upload_expires_at", TABLE.c.expires_at)
sa.Index("ix_upload_newest", TABLE.c.project_id, TABLE.c.created_at.desc(), TABLE.c.id.desc())

_COLUMNS = [TABLE.c[field.name] for field in dataclasses.fields(Upload)]


def insert(conn: sa.Connection, upload: Upload) -> None:
    """Add an upload."""
    conn.execute(sa.insert(TABLE).values(dataclasses.asdict(upload)))


def get(
    conn: sa.Connection, upload_id: str, project_id: str | None = None, *, lock: bool = False
) -> Upload | None:
    """The upload, None if there is none or it is another project's; `project_id` None is any.

    With `lock` nobody else changes it until the transaction ends.
    """
    statement = sa.select(*_COLUMNS).where(TABLE.c.id == upload_id)
    if project_id is not None:
        statement = statement.where(TABLE.c.project_id == project_id)
    if lock:
        statement = statement.with_for_update()
    row = conn.execute(statement).mappings().one_or_none()
    return None if row is None else Upload(**row)


def list_page(
    conn: sa.Connection, project_id: str | None, marker: str | None, limit: int
) -> tuple[Upload, ...]:
    """Uploads of a project, or of all, newest first. Raises InvalidRequest (MARKER)."""
    seen = sa.true() if project_id is None else TABLE.c.project_id == project_id
    statement = sa.select(*_COLUMNS).where(seen)
    if marker is not None:
        last = markers.find(conn, "upload", marker, TABLE.c.id, [seen], [TABLE.c.created_at])
        moment = sa.literal(last["created_at"], metadata.UtcDateTime())
        edge = sa.tuple_(moment, sa.literal(marker))
        statement = statement.where(sa.tuple_(TABLE.c.created_at, TABLE.c.id) < edge)
    newest = (TABLE.c.created_at.desc(), TABLE.c.id.desc())
    rows = conn.execute(statement.order_by(*newest).limit(limit)).mappings()
    return tuple(Upload(**row) for row in rows)


def for_image(conn: sa.Connection, image_id: str) -> tuple[Upload, ...]:
    """The uploads of an image, those that are over too."""
    rows = conn.execute(sa.select(*_COLUMNS).where(TABLE.c.image_id == image_id)).mappings()
    return tuple(Upload(**row) for row in rows)


def claim(
    conn: sa.Connection, upload_id: str, size_bytes: int | None, until: datetime.datetime
) -> Upload:
    """Let one more request write to the upload, whose row is locked, and nobody before it."""
    statement = (
        sa.update(TABLE)
        .where(TABLE.c.id == upload_id)
        .values(lease_token=TABLE.c.lease_token + 1, lease_until=until, size_bytes=size_bytes)
    )
    return Upload(**conn.execute(statement.returning(*_COLUMNS)).mappings().one())


def renew(
    conn: sa.Connection, upload_id: str, lease_token: int, until: datetime.datetime | None
) -> bool:
    """Hold the upload for longer, or let go of it; False if another request has it by now."""
    held = (TABLE.c.id == upload_id, TABLE.c.lease_token == lease_token)
    return conn.execute(sa.update(TABLE).where(*held).values(lease_until=until)).rowcount == 1


def advance(
    conn: sa.Connection, before: Upload, offset_bytes: int, expires_at: datetime.datetime
) -> Upload | None:
    """Bytes up to `offset_bytes` are safe; None if another request has the upload by now.

    Uploads of other disks of the image live on as long.
    """
    statement = (
        sa.update(TABLE)
        .where(
            TABLE.c.id == before.id,
            TABLE.c.lease_token == before.lease_token,
            TABLE.c.offset_bytes == before.offset_bytes,
            TABLE.c.job_id.is_(None),
        )
        .values(offset_bytes=offset_bytes, expires_at=expires_at)
        .returning(*_COLUMNS)
    )
    row = conn.execute(statement).mappings().one_or_none()
    if row is None:
        return None
    others = (TABLE.c.image_id == before.image_id, TABLE.c.id != before.id)
    conn.execute(sa.update(TABLE).where(*others).values(expires_at=expires_at))
    return Upload(**row)


def complete(conn: sa.Connection, upload_id: str, job_id: str) -> Upload:
    """All bytes are there, and are the job's now."""
    changed = sa.update(TABLE).where(TABLE.c.id == upload_id)
    changed = changed.values(job_id=job_id, lease_until=None)
    return Upload(**conn.execute(changed.returning(*_COLUMNS)).mappings().one())


def expired(conn: sa.Connection, now: datetime.datetime, limit: int) -> tuple[str, ...]:
    """Ids of uploads that nobody went on with in time and no job works on, oldest first."""
    statement = sa.select(TABLE.c.id).where(*_over(now)).order_by(TABLE.c.expires_at).limit(limit)
    return tuple(conn.scalars(statement))


def is_expired(conn: sa.Connection, upload_id: str, now: datetime.datetime) -> bool:
    """Whether the upload, whose row is locked, is one of the `expired`."""
    statement = sa.select(sa.literal(1)).where(TABLE.c.id == upload_id, *_over(now))
    return conn.scalar(statement) is not None


def _over(now: datetime.datetime) -> tuple[sa.ColumnElement[bool], ...]:
    jobs = job_table.TABLE
    in_work = sa.exists().where(jobs.c.id == TABLE.c.job_id, jobs.c.finished_at.is_(None))
    idle = sa.or_(TABLE.c.lease_until.is_(None), TABLE.c.lease_until < now)
    return TABLE.c.expires_at < now, idle, ~in_work


def delete(conn: sa.Connection, upload_id: str) -> None:
    """Remove an upload that has no parts; called twice is no error."""
    conn.execute(sa.delete(TABLE).where(TABLE.c.id == upload_id))
