"""The signed head of the audit trail's seals, and indexes of its lists by time."""

import sqlalchemy as sa
from alembic import op

from imagesvc.db import metadata

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "audit_head",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("chain", metadata.word(), nullable=False),
        sa.Column("hmac", metadata.word(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_head")),
    )
    for name in ("project_id", "owner_project_id", "target_id", "action"):
        op.drop_index(f"ix_audit_{name}", "audit")
        op.create_index(f"ix_audit_{name}", "audit", [name, "created_at", "id"], unique=False)
    op.create_index("ix_audit_user_id", "audit", ["user_id", "created_at", "id"], unique=False)
    op.create_index("ix_audit_outcome", "audit", ["outcome", "created_at", "id"], unique=False)
    op.create_index("ix_audit_newest", "audit", ["created_at", "id"], unique=False)
