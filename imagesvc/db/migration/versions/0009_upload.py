"""Resumable uploads: who writes to one, the job that follows, and the parts of its bytes."""

import sqlalchemy as sa
from alembic import op

from imagesvc.db import metadata

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for column in (
        sa.Column("lease_token", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("lease_until", metadata.UtcDateTime(), nullable=True),
        sa.Column("job_id", metadata.word(), nullable=True),
        sa.Column("client_metadata", sa.Text(), nullable=False, server_default=""),
    ):
        op.add_column("upload", column)
    op.create_index(
        "ix_upload_newest",
        "upload",
        ["project_id", sa.literal_column("created_at DESC"), sa.literal_column("id DESC")],
        unique=False,
    )
    op.create_table(
        "upload_part",
        sa.Column("upload_id", metadata.word(), nullable=False),
        sa.Column("offset_bytes", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("store_id", metadata.word(), nullable=False),
        sa.Column("storage_key", metadata.word(), nullable=False),
        sa.ForeignKeyConstraint(
            ["upload_id"], ["upload.id"], name=op.f("fk_upload_part_upload_id")
        ),
        sa.PrimaryKeyConstraint("upload_id", "offset_bytes", name=op.f("pk_upload_part")),
        sa.UniqueConstraint(
            "store_id", "storage_key", name=op.f("uq_upload_part_store_id_storage_key")
        ),
    )
