"""Wrapped data keys of encrypted images, and the default keys of projects."""

import sqlalchemy as sa
from alembic import op

from imagesvc.db import metadata

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "image_key",
        sa.Column("image_id", metadata.word(), nullable=False),
        sa.Column("project_id", metadata.word(), nullable=False),
        sa.Column("backend_id", metadata.word(), nullable=False),
        sa.Column("key_id", metadata.word(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("wrapped", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["image_id"], ["image.id"], name=op.f("fk_image_key_image_id")),
        sa.PrimaryKeyConstraint("image_id", "project_id", name=op.f("pk_image_key")),
    )
    op.create_index(
        "ix_image_key_key", "image_key", ["backend_id", "key_id", "image_id", "project_id"]
    )
    op.create_table(
        "default_key",
        sa.Column("project_id", metadata.word(), nullable=False),
        sa.Column("backend_id", metadata.word(), nullable=False),
        sa.Column("key_id", metadata.word(), nullable=False),
        sa.Column("updated_at", metadata.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("project_id", name=op.f("pk_default_key")),
    )
