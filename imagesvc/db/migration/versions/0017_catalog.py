"""The catalog: what is known of each family, and where each of its images came from."""

import sqlalchemy as sa
from alembic import op

from imagesvc.db import metadata

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "catalog_family",
        sa.Column("family", metadata.word(), nullable=False),
        sa.Column("image_id", metadata.word(), nullable=True),
        sa.Column("checked_at", metadata.UtcDateTime(), nullable=True),
        sa.Column("signed_at", metadata.UtcDateTime(), nullable=True),
        sa.Column("job_id", metadata.word(), nullable=True),
        sa.Column("failed_at", metadata.UtcDateTime(), nullable=True),
        sa.Column("cause", metadata.word(), nullable=True),
        sa.ForeignKeyConstraint(
            ["image_id"], ["image.id"], name=op.f("fk_catalog_family_image_id")
        ),
        sa.PrimaryKeyConstraint("family", name=op.f("pk_catalog_family")),
    )
    op.create_table(
        "catalog_release",
        sa.Column("image_id", metadata.word(), nullable=False),
        sa.Column("family", metadata.word(), nullable=False),
        sa.Column("build", metadata.word(), nullable=False),
        sa.Column("build_order", metadata.Json(), nullable=False),
        sa.Column("url", metadata.word(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=True),
        sa.Column("digest_algorithm", metadata.word(), nullable=False),
        sa.Column("digest_value", metadata.word(), nullable=False),
        sa.Column("trust", metadata.word(), nullable=False),
        sa.Column("list_url", metadata.word(), nullable=False),
        sa.Column("list_bytes", sa.LargeBinary(), nullable=True),
        sa.Column("signature_bytes", sa.LargeBinary(), nullable=True),
        sa.Column("signature_sha256", metadata.word(), nullable=True),
        sa.Column("fingerprint", metadata.word(), nullable=True),
        sa.Column("signed_at", metadata.UtcDateTime(), nullable=True),
        sa.Column("stored_algorithm", metadata.word(), nullable=True),
        sa.Column("stored_value", metadata.word(), nullable=True),
        sa.Column("resolved_at", metadata.UtcDateTime(), nullable=False),
        sa.Column("published_at", metadata.UtcDateTime(), nullable=True),
        sa.Column("withdrawn_at", metadata.UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["image_id"], ["image.id"], name=op.f("fk_catalog_release_image_id")
        ),
        sa.PrimaryKeyConstraint("image_id", name=op.f("pk_catalog_release")),
    )
    op.create_index(
        "ix_catalog_release_family", "catalog_release", ["family", sa.text("published_at DESC")]
    )
