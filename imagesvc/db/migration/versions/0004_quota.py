"""Reservations of several resources under one token; use counted from the images that are there."""

import sqlalchemy as sa
from alembic import op

from imagesvc.db import metadata

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

# Until now nothing was counted. A database whose counters are filled keeps them.
_IMAGES = """
    INSERT INTO quota_usage (project_id, resource, used, reserved)
    SELECT owner, 'images', COUNT(*), 0 FROM image
    WHERE deleted_at IS NULL AND owner IS NOT NULL
      AND status NOT IN ('killed', 'deleted', 'pending_delete')
      AND NOT EXISTS (SELECT 1 FROM quota_usage)
    GROUP BY owner
"""
_BYTES = """
    INSERT INTO quota_usage (project_id, resource, used, reserved)
    SELECT image.owner, 'stored_bytes', CAST(SUM(image_disk.size_bytes) AS BIGINT), 0
    FROM image JOIN image_disk ON image_disk.image_id = image.id
    WHERE image.deleted_at IS NULL AND image.owner IS NOT NULL
      AND NOT EXISTS (SELECT 1 FROM quota_usage WHERE resource <> 'images')
    GROUP BY image.owner
"""


def upgrade() -> None:
    # No release wrote reservations, so none is lost.
    op.drop_index("ix_quota_reservation_created_at", table_name="quota_reservation")
    op.drop_table("quota_reservation")
    op.create_table(
        "quota_reservation",
        sa.Column("token", metadata.word(), nullable=False),
        sa.Column("resource", metadata.word(), nullable=False),
        sa.Column("project_id", metadata.word(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("created_at", metadata.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("token", "resource", name=op.f("pk_quota_reservation")),
    )
    op.create_index(
        "ix_quota_reservation_created_at", "quota_reservation", ["created_at"], unique=False
    )
    op.create_index(
        "ix_quota_reservation_project_id", "quota_reservation", ["project_id"], unique=False
    )
    op.execute(_IMAGES)
    op.execute(_BYTES)
