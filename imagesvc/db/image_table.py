"""The image table, and how a row becomes an Image."""

import functools
from typing import Any

import msgspec
import sqlalchemy as sa

from imagesvc.db import foreign_location, image_disk, image_property, metadata, tag
from imagesvc.domain import image as domain
from imagesvc.domain import image_property as image_property_domain
from imagesvc.domain.state import ImageStatus

_word = metadata.word

TABLE = sa.Table(
    "image",
    metadata.METADATA,
    sa.Column("id", _word(), primary_key=True),
    sa.Column("owner", _word()),
    sa.Column("name", _word()),
    sa.Column("status", _word(), nullable=False),
    sa.Column("visibility", _word(), nullable=False),
    sa.Column("created_at", metadata.UtcDateTime(), nullable=False),
    sa.Column("updated_at", metadata.UtcDateTime(), nullable=False),
    sa.Column("protected", sa.Boolean(), nullable=False),
    sa.Column("hidden", sa.Boolean(), nullable=False),
    sa.Column("disk_format", _word()),
    sa.Column("container_format", _word()),
    sa.Column("min_disk_gib", sa.BigInteger(), nullable=False),
    sa.Column("min_ram_mib", sa.BigInteger(), nullable=False),
    sa.Column("size_bytes", sa.BigInteger()),
    sa.Column("virtual_size_bytes", sa.BigInteger()),
    sa.Column("md5", _word()),
    sa.Column("hash_algorithm", _word()),
    sa.Column("hash_value", _word()),
    sa.Column("kind", _word(), nullable=False),
    sa.Column("os_type", _word()),
    sa.Column("architecture", _word()),
    sa.Column("description", _word()),
    sa.Column("source_server_id", _word()),
    sa.Column("source_image_id", _word()),
    sa.Column("job_id", _word()),
    sa.Column("cause", _word()),
    sa.Column("revision", sa.BigInteger(), nullable=False),
    # Facts that are documented and have no behaviour yet.
    sa.Column("platform", _word()),
    sa.Column("os_version", _word()),
    sa.Column("firmware", _word()),
    sa.Column("min_memory_mib", sa.BigInteger()),
    sa.Column("max_memory_mib", sa.BigInteger()),
    sa.Column("source_type", _word()),
    sa.Column("enterprise_project_id", _word()),
    sa.Column("key_id", _word()),
    sa.Column("expected_digest", _word()),
    sa.Column("family", _word()),
    sa.Column("family_version", _word()),
    # By which versions are compared; follows `family_version`.
    sa.Column("family_order", _word(), nullable=False, server_default=""),
    sa.Column("deprecated_at", metadata.UtcDateTime()),
    sa.Column("bin_until", metadata.UtcDateTime()),
    sa.Column("parent_image_id", _word()),
    sa.Column("last_used_at", metadata.UtcDateTime()),
    sa.Column("provided_until", metadata.UtcDateTime()),
    sa.Column("held_count", sa.BigInteger(), nullable=False, server_default="0"),
    sa.Column("held_by_job", _word()),
    # Who is writing the bytes, and when it was last seen alive.
    sa.Column("upload_token", _word()),
    sa.Column("heartbeat_at", metadata.UtcDateTime()),
    # A row with this set is a tombstone: it keeps the id from ever coming back.
    sa.Column("deleted_at", metadata.UtcDateTime()),
)

_c = TABLE.c
ALIVE = _c.deleted_at.is_(None)
_NEWEST = (_c.created_at.desc(), _c.id.desc())


def _index(name: str, *columns: Any, where: sa.ColumnElement[bool] = ALIVE) -> None:
    sa.Index(f"ix_image_{name}", *columns, sqlite_where=where, postgresql_where=where)


_index("newest", _c.hidden, *_NEWEST)
_index("owner", _c.owner, _c.hidden, *_NEWEST)
_index("owner_visibility", _c.owner, _c.visibility, _c.hidden, *_NEWEST)
_index("visibility", _c.visibility, _c.hidden, *_NEWEST)
_index("name", _c.name, *_NEWEST)
_index("md5", _c.md5)
_index("hash_value", _c.hash_value)
_index("status", _c.status, *_NEWEST, where=sa.and_(ALIVE, _c.status != "active"))
_index("enterprise_project_id", _c.enterprise_project_id, *_NEWEST)
_index("source_image_id", _c.source_image_id)
for _fact in image_property_domain.FACTS:
    _index(_fact, metadata.start(_c[_fact]), *_NEWEST)
_LIVE = "deleted_at IS NULL AND family IS NOT NULL"
_FAMILY = sa.and_(ALIVE, _c.family.is_not(None))
_VERSIONS = (_c.family_order.desc(), *_NEWEST)
_index("owner_family", _c.owner, _c.family, *_VERSIONS, where=_FAMILY)
_index("family", _c.family, _c.visibility, *_VERSIONS, where=_FAMILY)
# Of a family at most one image is offered to all.
sa.Index(
    "uq_image_family",
    _c.owner,
    _c.family,
    unique=True,
    sqlite_where=sa.text(f"{_LIVE} AND visibility = 'public' AND hidden = 0"),
    postgresql_where=sa.text(f"{_LIVE} AND visibility = 'public' AND NOT hidden"),
)
_index("heartbeat_at", _c.heartbeat_at, where=_c.heartbeat_at.is_not(None))

# Columns of the entity; tags and properties come beside them.
FIELDS = (
    "id", "owner", "name", "status", "visibility", "created_at", "updated_at", "protected",
    "hidden", "disk_format", "container_format", "min_disk_gib", "min_ram_mib", "size_bytes",
    "virtual_size_bytes", "md5", "hash_algorithm", "hash_value", "kind", "os_type",
    "architecture", "description", "source_server_id", "source_image_id", "job_id", "cause",
    "revision", "key_id",
    "family", "family_version", "deprecated_at",
)  # fmt: skip


@functools.cache
def columns(dialect: str) -> tuple[sa.ColumnElement[Any], ...]:
    """FIELDS, tags and properties as JSON texts, stores as words, the foreign store: what `entity` needs of a row."""
    return (*(TABLE.c[field] for field in FIELDS), *_collections(dialect))


def _collections(dialect: str) -> tuple[sa.ColumnElement[Any], ...]:
    if dialect == "postgresql":
        array, mapping = sa.func.json_agg, sa.func.json_object_agg
        words = sa.func.string_agg
    else:
        array, mapping = sa.func.json_group_array, sa.func.json_group_object
        words = sa.func.group_concat
    tags, properties, places = tag.TABLE, image_property.TABLE, image_disk.LOCATION
    foreign = foreign_location.TABLE
    return (
        sa.select(sa.cast(array(tags.c.tag), sa.Text))
        .where(tags.c.image_id == TABLE.c.id)
        .correlate(TABLE)
        .scalar_subquery()
        .label("tags_json"),
        sa.select(sa.cast(mapping(properties.c.name, properties.c.value), sa.Text))
        .where(properties.c.image_id == TABLE.c.id)
        .correlate(TABLE)
        .scalar_subquery()
        .label("properties_json"),
        sa.select(words(places.c.store_id, sa.literal_column("' '")))
        .where(places.c.image_id == TABLE.c.id, places.c.disk_index == sa.literal_column("0"))
        .correlate(TABLE)
        .scalar_subquery()
        .label("stores"),
        sa.select(foreign.c.store_id)
        .where(foreign.c.image_id == TABLE.c.id, foreign.c.position == sa.literal_column("0"))
        .correlate(TABLE)
        .scalar_subquery()
        .label("foreign_store"),
    )


def entity(row: sa.Row[Any]) -> domain.Image:
    """The Image of a row of `columns`."""
    tags, properties, stores, foreign_store = row[len(FIELDS) :]
    values = dict(zip(FIELDS, row, strict=False))
    values["status"] = ImageStatus(values["status"])
    values["visibility"] = domain.Visibility(values["visibility"])
    return domain.Image(
        **values,
        stores=tuple(stores.split()) if stores else (),
        foreign_store=foreign_store,
        tags=tuple(sorted(msgspec.json.decode(tags or "[]"))),
        properties=msgspec.json.decode(properties or "{}"),
    )
