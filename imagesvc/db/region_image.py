"""Images that come from other regions: insert, get, by token, and what of them is unfinished."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from imagesvc.db import image_table, metadata
from imagesvc.domain import region_image as domain
from imagesvc.domain.region_image import RegionImage
from imagesvc.domain.state import ImageStatus

TABLE = sa.Table(
    "region_image",
    metadata.METADATA,
    sa.Column("image_id", metadata.word(), sa.ForeignKey("image.id"), primary_key=True),
    sa.Column("agency_id", metadata.word(), nullable=False),
    sa.Column("project_id", metadata.word(), nullable=False),
    sa.Column("source_region", metadata.word(), nullable=False),
    sa.Column("source_project_id", metadata.word(), nullable=False),
    sa.Column("source_image_id", metadata.word(), nullable=False),
    sa.Column("request_token", metadata.word(), nullable=False),
    sa.Column("disks", metadata.Json(), nullable=False),
    sa.Column("created_at", metadata.UtcDateTime(), nullable=False),
    sa.Column("job_id", metadata.word()),
    sa.UniqueConstraint("source_region", "source_project_id", "request_token"),
)
sa.Index("ix_region_image_agency_id", TABLE.c.agency_id)


def insert(conn: sa.Connection, image: RegionImage) -> bool:
    """Add a row; False if there is one of this token."""
    values = {column.name: getattr(image, column.name) for column in TABLE.columns}
    statement = (postgresql if conn.dialect.name == "postgresql" else sqlite).insert(TABLE)
    token = [TABLE.c.source_region, TABLE.c.source_project_id, TABLE.c.request_token]
    made = conn.execute(
        statement.values(values | {"disks": domain.plain(image.disks)})
        .on_conflict_do_nothing(index_elements=token)
        .returning(TABLE.c.image_id)
    )
    return made.one_or_none() is not None


def get(conn: sa.Connection, image_id: str) -> RegionImage | None:
    """The row of an image; None for an image that is of this region."""
    return _one(conn, TABLE.c.image_id == image_id)


def by_token(
    conn: sa.Connection, source_region: str, source_project_id: str, request_token: str
) -> RegionImage | None:
    """What a project of another region asked for under this token, or None."""
    return _one(
        conn,
        sa.and_(
            TABLE.c.source_region == source_region,
            TABLE.c.source_project_id == source_project_id,
            TABLE.c.request_token == request_token,
        ),
    )


def set_job(conn: sa.Connection, image_id: str, job_id: str) -> None:
    """All bytes are there, and are the job's now."""
    statement = sa.update(TABLE).where(TABLE.c.image_id == image_id)
    conn.execute(statement.values(job_id=job_id))


def unfinished(conn: sa.Connection, agency_id: str) -> tuple[str, ...]:
    """Ids of the images that still come by an agency."""
    images = image_table.TABLE
    coming = (ImageStatus.UPLOADING, ImageStatus.IMPORTING, ImageStatus.QUEUED)
    statement = (
        sa.select(TABLE.c.image_id)
        .join(images, images.c.id == TABLE.c.image_id)
        .where(TABLE.c.agency_id == agency_id, images.c.status.in_(sorted(coming)))
        .order_by(TABLE.c.image_id)
    )
    return tuple(conn.scalars(statement))


def has_namesake(conn: sa.Connection, image_id: str, project_id: str, name: str | None) -> bool:
    """Whether the project has another image of that name."""
    images = image_table.TABLE
    statement = sa.select(sa.literal(1)).where(
        images.c.owner == project_id,
        images.c.name == name,
        images.c.id != image_id,
        image_table.ALIVE,
    )
    return name is not None and conn.execute(statement.limit(1)).first() is not None


def _one(conn: sa.Connection, wanted: sa.ColumnElement[bool]) -> RegionImage | None:
    row: Any = conn.execute(sa.select(TABLE).where(wanted)).mappings().one_or_none()
    if row is None:
        return None
    return RegionImage(**{**row, "disks": domain.disks_of(row["disks"])})
