"""Metadata definitions: namespaces, and what is in them."""

from typing import Any

import sqlalchemy as sa
from alembic import op

from imagesvc.db import metadata

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "metadef_namespace",
        sa.Column("id", metadata.word(), nullable=False),
        sa.Column("name", metadata.word(), nullable=False),
        sa.Column("display_name", metadata.word(), nullable=True),
        sa.Column("description", metadata.word(), nullable=True),
        sa.Column("visibility", metadata.word(), nullable=False),
        sa.Column("protected", sa.Boolean(), nullable=False),
        sa.Column("owner", metadata.word(), nullable=True),
        *_times(),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_metadef_namespace")),
        sa.UniqueConstraint("name", name=op.f("uq_metadef_namespace_name")),
    )
    op.create_index(
        "ix_metadef_namespace_newest", "metadef_namespace", ["created_at", "id"], unique=False
    )
    op.create_table(
        "metadef_resource_type",
        sa.Column("name", metadata.word(), nullable=False),
        *_times(),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_metadef_resource_type")),
    )
    _create_part(
        "metadef_association",
        sa.Column("prefix", metadata.word(), nullable=True),
        sa.Column("properties_target", metadata.word(), nullable=True),
        *_times(),
        sa.ForeignKeyConstraint(
            ["name"], ["metadef_resource_type.name"], name=op.f("fk_metadef_association_name")
        ),
    )
    op.create_index(
        op.f("ix_metadef_association_name"), "metadef_association", ["name"], unique=False
    )
    _create_part(
        "metadef_object",
        sa.Column("description", metadata.word(), nullable=True),
        sa.Column("required", metadata.JsonAsSent(), nullable=False),
        sa.Column("properties", metadata.JsonAsSent(), nullable=False),
        *_times(),
    )
    _create_part("metadef_property", sa.Column("definition", metadata.JsonAsSent(), nullable=False))
    _create_part("metadef_tag", *_times())


def _times() -> tuple[sa.Column[Any], ...]:
    return (
        sa.Column("created_at", metadata.UtcDateTime(), nullable=False),
        sa.Column("updated_at", metadata.UtcDateTime(), nullable=False),
    )


def _create_part(table: str, *more: Any) -> None:
    """A table of what a namespace holds by name, and what ends with it."""
    op.create_table(
        table,
        sa.Column("namespace_id", metadata.word(), nullable=False),
        sa.Column("name", metadata.word(), nullable=False),
        *more,
        sa.ForeignKeyConstraint(
            ["namespace_id"],
            ["metadef_namespace.id"],
            name=op.f(f"fk_{table}_namespace_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("namespace_id", "name", name=op.f(f"pk_{table}")),
    )
