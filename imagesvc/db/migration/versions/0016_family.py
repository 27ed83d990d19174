"""Families: the order of versions, aliases, and at most one public image that a family shows."""

import sqlalchemy as sa
from alembic import op

from imagesvc.db import metadata
from imagesvc.domain import family

revision = "0016"
down_revision = "0014"
branch_labels = None
depends_on = None

_LIVE = "deleted_at IS NULL AND family IS NOT NULL"
_VERSIONS = ["family_order DESC", "created_at DESC", "id DESC"]


def upgrade() -> None:
    op.add_column(
        "image", sa.Column("family_order", metadata.word(), nullable=False, server_default="")
    )
    image = sa.table(
        "image", sa.column("id"), sa.column("family_version"), sa.column("family_order")
    )
    conn = op.get_bind()
    versions = sa.select(image.c.id, image.c.family_version).where(
        image.c.family_version.is_not(None)
    )
    for row in conn.execute(versions).all():
        ordered = sa.update(image).where(image.c.id == row.id)
        conn.execute(ordered.values(family_order=family.order(row.family_version)))
    _index("owner_family", ["owner", "family", *_VERSIONS])
    _index("family", ["family", "visibility", *_VERSIONS])
    op.create_index(
        "uq_image_family", "image", ["owner", "family"], unique=True,
        sqlite_where=sa.text(f"{_LIVE} AND visibility = 'public' AND hidden = 0"),
        postgresql_where=sa.text(f"{_LIVE} AND visibility = 'public' AND NOT hidden"),
    )  # fmt: skip
    op.create_table(
        "family",
        sa.Column("owner", metadata.word(), nullable=False),
        sa.Column("name", metadata.word(), nullable=False),
        sa.Column("image_id", metadata.word(), nullable=False),
        sa.Column("former_image_id", metadata.word(), nullable=True),
        sa.Column("moved_at", metadata.UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["image_id"], ["image.id"], name=op.f("fk_family_image_id")),
        sa.ForeignKeyConstraint(
            ["former_image_id"], ["image.id"], name=op.f("fk_family_former_image_id")
        ),
        sa.PrimaryKeyConstraint("owner", "name", name=op.f("pk_family")),
    )


def _index(name: str, columns: list[str]) -> None:
    op.create_index(
        f"ix_image_{name}",
        "image",
        [sa.text(one) for one in columns],
        sqlite_where=sa.text(_LIVE),
        postgresql_where=sa.text(_LIVE),
    )
