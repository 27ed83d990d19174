"""What was found by looking into a disk."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("image_disk", sa.Column("guest", sa.Text(), nullable=True))
