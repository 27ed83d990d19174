"""Agencies of other regions, and the images that come by them."""

import sqlalchemy as sa
from alembic import op

from imagesvc.db import metadata

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "agency",
        sa.Column("id", metadata.word(), nullable=False),
        sa.Column("name", metadata.word(), nullable=False),
        sa.Column("source_region", metadata.word(), nullable=False),
        sa.Column("source_project_id", metadata.word(), nullable=False),
        sa.Column("project_id", metadata.word(), nullable=False),
        sa.Column("project_name", metadata.word(), nullable=False),
        sa.Column("user_id", metadata.word(), nullable=True),
        sa.Column("created_at", metadata.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_agency")),
        sa.UniqueConstraint("project_id", "name", name=op.f("uq_agency_project_id_name")),
        sa.UniqueConstraint(
            "source_region",
            "source_project_id",
            "project_id",
            name=op.f("uq_agency_source_region_source_project_id_project_id"),
        ),
    )
    op.create_table(
        "region_image",
        sa.Column("image_id", metadata.word(), nullable=False),
        sa.Column("agency_id", metadata.word(), nullable=False),
        sa.Column("project_id", metadata.word(), nullable=False),
        sa.Column("source_region", metadata.word(), nullable=False),
        sa.Column("source_project_id", metadata.word(), nullable=False),
        sa.Column("source_image_id", metadata.word(), nullable=False),
        sa.Column("request_token", metadata.word(), nullable=False),
        sa.Column("disks", metadata.Json(), nullable=False),
        sa.Column("created_at", metadata.UtcDateTime(), nullable=False),
        sa.Column("job_id", metadata.word(), nullable=True),
        sa.ForeignKeyConstraint(["image_id"], ["image.id"], name=op.f("fk_region_image_image_id")),
        sa.PrimaryKeyConstraint("image_id", name=op.f("pk_region_image")),
        sa.UniqueConstraint(
            "source_region",
            "source_project_id",
            "request_token",
            name=op.f("uq_region_image_source_region_source_project_id_request_token"),
        ),
    )
    op.create_index("ix_region_image_agency_id", "region_image", ["agency_id"])
    _queue()


def _queue() -> None:
    """Jobs that wait for a place leave the index of those that are due for one of their own."""
    op.add_column("job", sa.Column("lane", metadata.word(), nullable=True))
    op.drop_index("ix_job_ready", "job")
    order = ["priority", "run_after", "id"]
    _index("ready", order, "state = 'ready' AND (lane IS NULL OR started_at IS NOT NULL)")
    _index(
        "queued", ["lane", *order], "state = 'ready' AND started_at IS NULL AND lane IS NOT NULL"
    )


def _index(name: str, columns: list[str], where: str) -> None:
    op.create_index(
        f"ix_job_{name}",
        "job",
        columns,
        sqlite_where=sa.text(where),
        postgresql_where=sa.text(where),
    )
