"""Facts that earlier releases kept as free properties go into the columns of the image."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_FACTS = ("os_type", "architecture", "description")
# What the owner wrote was shown, and stands above what a capture noted in the column.
_MOVE = """
    UPDATE image SET {fact} = (
        SELECT value FROM image_property
        WHERE image_property.image_id = image.id AND image_property.name = '{fact}'
    )
    WHERE id IN (SELECT image_id FROM image_property WHERE name = '{fact}')
"""
_REMOVE = "DELETE FROM image_property WHERE name = '{fact}'"


def upgrade() -> None:
    for fact in _FACTS:
        op.execute(_MOVE.format(fact=fact))
        op.execute(_REMOVE.format(fact=fact))
        op.create_index(
            f"ix_image_{fact}",
            "image",
            [
                sa.literal_column(f"substr({fact}, 1, 64)"),
                sa.literal_column("created_at DESC"),
                sa.literal_column("id DESC"),
            ],
            unique=False,
            sqlite_where=sa.text("deleted_at IS NULL"),
            postgresql_where=sa.text("deleted_at IS NULL"),
        )
