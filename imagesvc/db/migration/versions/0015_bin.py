"""The bin: what an image was before, who deleted it, and the job that removes it."""

import sqlalchemy as sa
from alembic import op

from imagesvc.db import metadata

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

_NAMES = ("deleted_by", "deleted_by_project", "bin_status", "purge_job_id")


def upgrade() -> None:
    for name in _NAMES:
        op.add_column("image", sa.Column(name, metadata.word(), nullable=True))
    binned = sa.text("bin_until IS NOT NULL")
    for name, columns in (("bin", ["bin_until", "id"]), ("bin_owner", ["owner", "id"])):
        op.create_index(
            f"ix_image_{name}", "image", columns, sqlite_where=binned, postgresql_where=binned
        )
