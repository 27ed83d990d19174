"""Locations of images that are URLs elsewhere."""

import sqlalchemy as sa
from alembic import op

from imagesvc.db import metadata

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "foreign_location",
        sa.Column("image_id", metadata.word(), nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("store_id", metadata.word(), nullable=False),
        sa.Column("url", metadata.word(), nullable=False),
        sa.Column("metadata", metadata.Json(), nullable=False),
        sa.ForeignKeyConstraint(
            ["image_id"], ["image.id"], name=op.f("fk_foreign_location_image_id")
        ),
        sa.PrimaryKeyConstraint("image_id", "position", name=op.f("pk_foreign_location")),
    )
