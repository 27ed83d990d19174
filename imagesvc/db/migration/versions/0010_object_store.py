"""Object stores of projects: where their buckets are, with the sealed key."""

import sqlalchemy as sa
from alembic import op

from imagesvc.db import metadata

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "object_store",
        sa.Column("id", metadata.word(), nullable=False),
        sa.Column("project_id", metadata.word(), nullable=False),
        sa.Column("name", metadata.word(), nullable=False),
        sa.Column("endpoint", metadata.word(), nullable=False),
        sa.Column("region", metadata.word(), nullable=False),
        sa.Column("buckets", metadata.Json(), nullable=False),
        sa.Column("access_key", metadata.word(), nullable=False),
        sa.Column("sealed_key", metadata.word(), nullable=False),
        sa.Column("created_at", metadata.UtcDateTime(), nullable=False),
        sa.Column("updated_at", metadata.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_object_store")),
        sa.UniqueConstraint("project_id", "name", name=op.f("uq_object_store_project_id_name")),
    )
