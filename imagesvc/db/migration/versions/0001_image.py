"""Images with all that hangs from them, uploads, and bytes under way or doomed."""

import sqlalchemy as sa
from alembic import op

from imagesvc.db import metadata

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "image",
        sa.Column("id", metadata.word(), nullable=False),
        sa.Column("owner", metadata.word(), nullable=True),
        sa.Column("name", metadata.word(), nullable=True),
        sa.Column("status", metadata.word(), nullable=False),
        sa.Column("visibility", metadata.word(), nullable=False),
        sa.Column("created_at", metadata.UtcDateTime(), nullable=False),
        sa.Column("updated_at", metadata.UtcDateTime(), nullable=False),
        sa.Column("protected", sa.Boolean(), nullable=False),
        sa.Column("hidden", sa.Boolean(), nullable=False),
        sa.Column("disk_format", metadata.word(), nullable=True),
        sa.Column("container_format", metadata.word(), nullable=True),
        sa.Column("min_disk_gib", sa.BigInteger(), nullable=False),
        sa.Column("min_ram_mib", sa.BigInteger(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=True),
        sa.Column("virtual_size_bytes", sa.BigInteger(), nullable=True),
        sa.Column("md5", metadata.word(), nullable=True),
        sa.Column("hash_algorithm", metadata.word(), nullable=True),
        sa.Column("hash_value", metadata.word(), nullable=True),
        sa.Column("kind", metadata.word(), nullable=False),
        sa.Column("os_type", metadata.word(), nullable=True),
        sa.Column("architecture", metadata.word(), nullable=True),
        sa.Column("description", metadata.word(), nullable=True),
        sa.Column("source_server_id", metadata.word(), nullable=True),
        sa.Column("source_image_id", metadata.word(), nullable=True),
        sa.Column("job_id", metadata.word(), nullable=True),
        sa.Column("cause", metadata.word(), nullable=True),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("platform", metadata.word(), nullable=True),
        sa.Column("os_version", metadata.word(), nullable=True),
        sa.Column("firmware", metadata.word(), nullable=True),
        sa.Column("min_memory_mib", sa.BigInteger(), nullable=True),
        sa.Column("max_memory_mib", sa.BigInteger(), nullable=True),
        sa.Column("source_type", metadata.word(), nullable=True),
        sa.Column("enterprise_project_id", metadata.word(), nullable=True),
        sa.Column("key_id", metadata.word(), nullable=True),
        sa.Column("expected_digest", metadata.word(), nullable=True),
        sa.Column("family", metadata.word(), nullable=True),
        sa.Column("family_version", metadata.word(), nullable=True),
        sa.Column("deprecated_at", metadata.UtcDateTime(), nullable=True),
        sa.Column("bin_until", metadata.UtcDateTime(), nullable=True),
        sa.Column("parent_image_id", metadata.word(), nullable=True),
        sa.Column("last_used_at", metadata.UtcDateTime(), nullable=True),
        sa.Column("provided_until", metadata.UtcDateTime(), nullable=True),
        sa.Column("held_count", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("held_by_job", metadata.word(), nullable=True),
        sa.Column("upload_token", metadata.word(), nullable=True),
        sa.Column("heartbeat_at", metadata.UtcDateTime(), nullable=True),
        sa.Column("deleted_at", metadata.UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_image")),
    )
    op.create_index(
        "ix_image_enterprise_project_id",
        "image",
        [
            "enterprise_project_id",
            sa.literal_column("created_at DESC"),
            sa.literal_column("id DESC"),
        ],
        unique=False,
        sqlite_where=sa.text("deleted_at IS NULL"),
        postgresql_where=sa.text("deleted_at IS NULL"),
    )
    op.create_index(
        "ix_image_hash_value",
        "image",
        ["hash_value"],
        unique=False,
        sqlite_where=sa.text("deleted_at IS NULL"),
        postgresql_where=sa.text("deleted_at IS NULL"),
    )
    op.create_index(
        "ix_image_heartbeat_at",
        "image",
        ["heartbeat_at"],
        unique=False,
        sqlite_where=sa.text("heartbeat_at IS NOT NULL"),
        postgresql_where=sa.text("heartbeat_at IS NOT NULL"),
    )
    op.create_index(
        "ix_image_md5",
        "image",
        ["md5"],
        unique=False,
        sqlite_where=sa.text("deleted_at IS NULL"),
        postgresql_where=sa.text("deleted_at IS NULL"),
    )
    op.create_index(
        "ix_image_name",
        "image",
        ["name", sa.literal_column("created_at DESC"), sa.literal_column("id DESC")],
        unique=False,
        sqlite_where=sa.text("deleted_at IS NULL"),
        postgresql_where=sa.text("deleted_at IS NULL"),
    )
    op.create_index(
        "ix_image_newest",
        "image",
        ["hidden", sa.literal_column("created_at DESC"), sa.literal_column("id DESC")],
        unique=False,
        sqlite_where=sa.text("deleted_at IS NULL"),
        postgresql_where=sa.text("deleted_at IS NULL"),
    )
    op.create_index(
        "ix_image_owner",
        "image",
        ["owner", "hidden", sa.literal_column("created_at DESC"), sa.literal_column("id DESC")],
        unique=False,
        sqlite_where=sa.text("deleted_at IS NULL"),
        postgresql_where=sa.text("deleted_at IS NULL"),
    )
    op.create_index(
        "ix_image_owner_visibility",
        "image",
        [
            "owner",
            "visibility",
            "hidden",
            sa.literal_column("created_at DESC"),
            sa.literal_column("id DESC"),
        ],
        unique=False,
        sqlite_where=sa.text("deleted_at IS NULL"),
        postgresql_where=sa.text("deleted_at IS NULL"),
    )
    op.create_index(
        "ix_image_source_image_id",
        "image",
        ["source_image_id"],
        unique=False,
        sqlite_where=sa.text("deleted_at IS NULL"),
        postgresql_where=sa.text("deleted_at IS NULL"),
    )
    op.create_index(
        "ix_image_status",
        "image",
        ["status", sa.literal_column("created_at DESC"), sa.literal_column("id DESC")],
        unique=False,
        sqlite_where=sa.text("deleted_at IS NULL AND status != 'active'"),
        postgresql_where=sa.text("deleted_at IS NULL AND status != 'active'"),
    )
    op.create_index(
        "ix_image_visibility",
        "image",
        [
            "visibility",
            "hidden",
            sa.literal_column("created_at DESC"),
            sa.literal_column("id DESC"),
        ],
        unique=False,
        sqlite_where=sa.text("deleted_at IS NULL"),
        postgresql_where=sa.text("deleted_at IS NULL"),
    )
    op.create_table(
        "image_property",
        sa.Column("image_id", metadata.word(), nullable=False),
        sa.Column("name", metadata.word(), nullable=False),
        sa.Column("value", metadata.word(), nullable=False),
        sa.ForeignKeyConstraint(
            ["image_id"], ["image.id"], name=op.f("fk_image_property_image_id")
        ),
        sa.PrimaryKeyConstraint("image_id", "name", name=op.f("pk_image_property")),
    )
    op.create_index(
        "ix_image_property_value",
        "image_property",
        ["name", sa.literal_column("substr(value, 1, 64)"), "image_id"],
        unique=False,
    )
    op.create_table(
        "image_tag",
        sa.Column("image_id", metadata.word(), nullable=False),
        sa.Column("tag", metadata.word(), nullable=False),
        sa.ForeignKeyConstraint(["image_id"], ["image.id"], name=op.f("fk_image_tag_image_id")),
        sa.PrimaryKeyConstraint("image_id", "tag", name=op.f("pk_image_tag")),
    )
    op.create_index("ix_image_tag_tag", "image_tag", ["tag", "image_id"], unique=False)
    op.create_table(
        "image_member",
        sa.Column("image_id", metadata.word(), nullable=False),
        sa.Column("member_id", metadata.word(), nullable=False),
        sa.Column("status", metadata.word(), nullable=False),
        sa.Column("image_created_at", metadata.UtcDateTime(), nullable=False),
        sa.Column("created_at", metadata.UtcDateTime(), nullable=False),
        sa.Column("updated_at", metadata.UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["image_id"], ["image.id"], name=op.f("fk_image_member_image_id")),
        sa.PrimaryKeyConstraint("image_id", "member_id", name=op.f("pk_image_member")),
    )
    op.create_index(
        "ix_image_member_newest",
        "image_member",
        [
            "member_id",
            sa.literal_column("image_created_at DESC"),
            sa.literal_column("image_id DESC"),
        ],
        unique=False,
    )
    op.create_index(
        "ix_image_member_status",
        "image_member",
        [
            "member_id",
            "status",
            sa.literal_column("image_created_at DESC"),
            sa.literal_column("image_id DESC"),
        ],
        unique=False,
    )
    op.create_table(
        "image_disk",
        sa.Column("image_id", metadata.word(), nullable=False),
        sa.Column("disk_index", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("role", metadata.word(), nullable=False),
        sa.Column("disk_format", metadata.word(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("virtual_size_bytes", sa.BigInteger(), nullable=True),
        sa.Column("md5", metadata.word(), nullable=True),
        sa.Column("hash_algorithm", metadata.word(), nullable=True),
        sa.Column("hash_value", metadata.word(), nullable=True),
        sa.ForeignKeyConstraint(["image_id"], ["image.id"], name=op.f("fk_image_disk_image_id")),
        sa.PrimaryKeyConstraint("image_id", "disk_index", name=op.f("pk_image_disk")),
    )
    op.create_table(
        "image_location",
        sa.Column("image_id", metadata.word(), nullable=False),
        sa.Column("disk_index", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("store_id", metadata.word(), nullable=False),
        sa.Column("storage_key", metadata.word(), nullable=False),
        sa.ForeignKeyConstraint(
            ["image_id", "disk_index"],
            ["image_disk.image_id", "image_disk.disk_index"],
            name=op.f("fk_image_location_image_id"),
        ),
        sa.PrimaryKeyConstraint(
            "image_id", "disk_index", "position", name=op.f("pk_image_location")
        ),
        sa.UniqueConstraint(
            "store_id", "storage_key", name=op.f("uq_image_location_store_id_storage_key")
        ),
    )
    op.create_table(
        "upload",
        sa.Column("id", metadata.word(), nullable=False),
        sa.Column("image_id", metadata.word(), nullable=False),
        sa.Column("disk_index", sa.Integer(), nullable=False),
        sa.Column("project_id", metadata.word(), nullable=False),
        sa.Column("user_id", metadata.word(), nullable=True),
        sa.Column("store_id", metadata.word(), nullable=False),
        sa.Column("storage_key", metadata.word(), nullable=False),
        sa.Column("store_upload_id", metadata.word(), nullable=True),
        sa.Column("offset_bytes", sa.BigInteger(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=True),
        sa.Column("expected_sha256", metadata.word(), nullable=True),
        sa.Column("created_at", metadata.UtcDateTime(), nullable=False),
        sa.Column("expires_at", metadata.UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["image_id"], ["image.id"], name=op.f("fk_upload_image_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_upload")),
        sa.UniqueConstraint("store_id", "storage_key", name=op.f("uq_upload_store_id_storage_key")),
    )
    op.create_index("ix_upload_expires_at", "upload", ["expires_at"], unique=False)
    op.create_index("ix_upload_image_id", "upload", ["image_id"], unique=False)
    op.create_table(
        "pending_object",
        sa.Column("store_id", metadata.word(), nullable=False),
        sa.Column("storage_key", metadata.word(), nullable=False),
        sa.Column("image_id", metadata.word(), nullable=False),
        sa.Column("created_at", metadata.UtcDateTime(), nullable=False),
        sa.Column("owner_token", metadata.word(), nullable=False),
        sa.PrimaryKeyConstraint("store_id", "storage_key", name=op.f("pk_pending_object")),
    )
    op.create_index("ix_pending_object_created_at", "pending_object", ["created_at"], unique=False)
    op.create_table(
        "doomed_object",
        sa.Column("store_id", metadata.word(), nullable=False),
        sa.Column("storage_key", metadata.word(), nullable=False),
        sa.Column("since", metadata.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("store_id", "storage_key", name=op.f("pk_doomed_object")),
    )
    op.create_index("ix_doomed_object_since", "doomed_object", ["since"], unique=False)
