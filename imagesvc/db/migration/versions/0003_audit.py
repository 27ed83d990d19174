"""The audit trail with its triggers, seals and cursors."""

import sqlalchemy as sa
from alembic import op

from imagesvc.db import metadata

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_MESSAGE = "the audit trail is append-only"
_SQLITE = (
    """
    CREATE TRIGGER audit_unsealed_note AFTER INSERT ON audit
    BEGIN INSERT INTO audit_unsealed (audit_id) VALUES (NEW.id); END
    """,
    *(
        f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
        f"BEGIN SELECT RAISE(ABORT, '{_MESSAGE}'); END"
        for table in ("audit", "audit_seal")
        for verb in ("UPDATE", "DELETE")
    ),
)
_POSTGRESQL = (
    """
    CREATE FUNCTION audit_note() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN INSERT INTO audit_unsealed (audit_id) VALUES (NEW.id); RETURN NULL; END $$
    """,
    """
    CREATE TRIGGER audit_unsealed_note AFTER INSERT ON audit
    FOR EACH ROW EXECUTE FUNCTION audit_note()
    """,
    f"""
    CREATE FUNCTION audit_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN RAISE EXCEPTION '{_MESSAGE}' USING ERRCODE = 'integrity_constraint_violation'; END $$
    """,
    *(
        f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
        "FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse()"
        for table in ("audit", "audit_seal")
    ),
)


def upgrade() -> None:
    op.create_table(
        "audit",
        sa.Column("id", metadata.big_key(), autoincrement=True, nullable=False),
        sa.Column("event_id", metadata.word(), nullable=False),
        sa.Column("created_at", metadata.UtcDateTime(), nullable=False),
        sa.Column("action", metadata.word(), nullable=False),
        sa.Column("outcome", metadata.word(), nullable=False),
        sa.Column("target_type", metadata.word(), nullable=False),
        sa.Column("target_id", metadata.word(), nullable=False),
        sa.Column("project_id", metadata.word(), nullable=True),
        sa.Column("user_id", metadata.word(), nullable=True),
        sa.Column("owner_project_id", metadata.word(), nullable=True),
        sa.Column("request_id", metadata.word(), nullable=False),
        sa.Column("detail", metadata.Json(), nullable=False),
        sa.Column("hmac", metadata.word(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit")),
        sa.UniqueConstraint("event_id", name=op.f("uq_audit_event_id")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_audit_action", "audit", ["action", "id"], unique=False)
    op.create_index("ix_audit_owner_project_id", "audit", ["owner_project_id", "id"], unique=False)
    op.create_index("ix_audit_project_id", "audit", ["project_id", "id"], unique=False)
    op.create_index("ix_audit_target_id", "audit", ["target_id", "id"], unique=False)
    op.create_table(
        "audit_unsealed",
        sa.Column("audit_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("audit_id", name=op.f("pk_audit_unsealed")),
    )
    op.create_table(
        "audit_seal",
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("audit_id", sa.BigInteger(), nullable=False),
        sa.Column("chain", metadata.word(), nullable=False),
        sa.ForeignKeyConstraint(["audit_id"], ["audit.id"], name=op.f("fk_audit_seal_audit_id")),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_audit_seal")),
        sa.UniqueConstraint("audit_id", name=op.f("uq_audit_seal_audit_id")),
    )
    op.create_table(
        "audit_cursor",
        sa.Column("sink", metadata.word(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("sink", name=op.f("pk_audit_cursor")),
    )
    for statement in _SQLITE if op.get_bind().dialect.name == "sqlite" else _POSTGRESQL:
        op.execute(statement)
