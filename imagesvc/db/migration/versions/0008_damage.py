"""Marks of copies whose bytes are not what was stored."""

import sqlalchemy as sa
from alembic import op

from imagesvc.db import metadata

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "damaged_copy",
        sa.Column("store_id", metadata.word(), nullable=False),
        sa.Column("storage_key", metadata.word(), nullable=False),
        sa.Column("copy_number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("fault", metadata.word(), nullable=False),
        sa.Column("found_at", metadata.UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["store_id", "storage_key"],
            ["image_location.store_id", "image_location.storage_key"],
            name=op.f("fk_damaged_copy_store_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint(
            "store_id", "storage_key", "copy_number", name=op.f("pk_damaged_copy")
        ),
    )
