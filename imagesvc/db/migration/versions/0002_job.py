"""Jobs with their steps, named leases, quotas."""

import sqlalchemy as sa
from alembic import op

from imagesvc.db import metadata

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "job",
        sa.Column("id", metadata.word(), nullable=False),
        sa.Column("parent_id", metadata.word(), nullable=True),
        sa.Column("type", metadata.word(), nullable=False),
        sa.Column("args_version", sa.Integer(), nullable=False),
        sa.Column("args", metadata.Json(), nullable=False),
        sa.Column("project_id", metadata.word(), nullable=False),
        sa.Column("image_id", metadata.word(), nullable=True),
        sa.Column("user_id", metadata.word(), nullable=True),
        sa.Column("request_id", metadata.word(), nullable=False),
        sa.Column("idempotency_key", metadata.word(), nullable=True),
        sa.Column("state", metadata.word(), nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("attempts_max", sa.Integer(), nullable=False),
        sa.Column("run_after", metadata.UtcDateTime(), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("worker", metadata.word(), nullable=True),
        sa.Column("lease_until", metadata.UtcDateTime(), nullable=True),
        sa.Column("lease_token", sa.BigInteger(), nullable=False),
        sa.Column("cancel_requested", sa.Boolean(), nullable=False),
        sa.Column("unwinding", sa.Boolean(), nullable=False),
        sa.Column("created_at", metadata.UtcDateTime(), nullable=False),
        sa.Column("started_at", metadata.UtcDateTime(), nullable=True),
        sa.Column("finished_at", metadata.UtcDateTime(), nullable=True),
        sa.Column("error_code", metadata.word(), nullable=True),
        sa.Column("error_text", metadata.word(), nullable=True),
        sa.Column("operator_text", metadata.word(), nullable=True),
        sa.Column("result", metadata.Json(), nullable=False),
        sa.ForeignKeyConstraint(["parent_id"], ["job.id"], name=op.f("fk_job_parent_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_job")),
        sa.UniqueConstraint(
            "project_id", "idempotency_key", name=op.f("uq_job_project_id_idempotency_key")
        ),
    )
    op.create_index(
        "ix_job_image_id",
        "job",
        ["image_id"],
        unique=False,
        sqlite_where=None,
        postgresql_where=None,
    )
    op.create_index(
        "ix_job_lapsed",
        "job",
        ["lease_until"],
        unique=False,
        sqlite_where=sa.text("state = 'running'"),
        postgresql_where=sa.text("state = 'running'"),
    )
    op.create_index(
        "ix_job_newest",
        "job",
        [sa.literal_column("created_at DESC"), sa.literal_column("id DESC")],
        unique=False,
        sqlite_where=None,
        postgresql_where=None,
    )
    op.create_index(
        "ix_job_open",
        "job",
        ["project_id"],
        unique=False,
        sqlite_where=sa.text("started_at IS NOT NULL AND finished_at IS NULL"),
        postgresql_where=sa.text("started_at IS NOT NULL AND finished_at IS NULL"),
    )
    op.create_index(
        "ix_job_parent_id",
        "job",
        ["parent_id"],
        unique=False,
        sqlite_where=None,
        postgresql_where=None,
    )
    op.create_index(
        "ix_job_project",
        "job",
        ["project_id", sa.literal_column("created_at DESC"), sa.literal_column("id DESC")],
        unique=False,
        sqlite_where=None,
        postgresql_where=None,
    )
    op.create_index(
        "ix_job_ready",
        "job",
        ["priority", "run_after", "id"],
        unique=False,
        sqlite_where=sa.text("state = 'ready'"),
        postgresql_where=sa.text("state = 'ready'"),
    )
    op.create_table(
        "job_step",
        sa.Column("job_id", metadata.word(), nullable=False),
        sa.Column("n", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("name", metadata.word(), nullable=False),
        sa.Column("state", metadata.word(), nullable=False),
        sa.Column("started_at", metadata.UtcDateTime(), nullable=True),
        sa.Column("finished_at", metadata.UtcDateTime(), nullable=True),
        sa.Column("memo", metadata.Json(), nullable=False),
        sa.Column("done_bytes", sa.BigInteger(), nullable=False),
        sa.Column("total_bytes", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], name=op.f("fk_job_step_job_id")),
        sa.PrimaryKeyConstraint("job_id", "n", name=op.f("pk_job_step")),
    )
    op.create_table(
        "lease",
        sa.Column("name", metadata.word(), nullable=False),
        sa.Column("worker", metadata.word(), nullable=False),
        sa.Column("lease_until", metadata.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_lease")),
    )
    op.create_table(
        "quota_usage",
        sa.Column("project_id", metadata.word(), nullable=False),
        sa.Column("resource", metadata.word(), nullable=False),
        sa.Column("used", sa.BigInteger(), nullable=False),
        sa.Column("reserved", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("project_id", "resource", name=op.f("pk_quota_usage")),
    )
    op.create_table(
        "quota_limit",
        sa.Column("project_id", metadata.word(), nullable=False),
        sa.Column("resource", metadata.word(), nullable=False),
        sa.Column("maximum", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("project_id", "resource", name=op.f("pk_quota_limit")),
    )
    op.create_table(
        "quota_reservation",
        sa.Column("token", metadata.word(), nullable=False),
        sa.Column("project_id", metadata.word(), nullable=False),
        sa.Column("resource", metadata.word(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("created_at", metadata.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("token", name=op.f("pk_quota_reservation")),
    )
    op.create_index(
        "ix_quota_reservation_created_at", "quota_reservation", ["created_at"], unique=False
    )
