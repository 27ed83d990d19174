"""Many images in both services' tables: the same owners, names, times and visibilities.

Of each twenty images of a project twelve are private, six shared and offered once, one public
and one community. Each has a tag and a property.
"""

import sqlalchemy as sa

PROJECTS = 20
_KIND = (
    "(CASE WHEN n / 20 % 20 < 12 THEN 'private' WHEN n / 20 % 20 < 18 THEN 'shared' "
    "WHEN n / 20 % 20 = 18 THEN 'public' ELSE 'community' END)"
)
_ID = "md5(n::text)::uuid::text"
_MOMENT = "timestamp '2025-01-01' + n * interval '1 second'"
_OWNER = "CASE WHEN n % 20 = 0 THEN :project ELSE 'p' || n % 20 END"
_TAKER = "CASE WHEN (n + 1) % 20 = 0 THEN :project ELSE 'p' || (n + 1) % 20 END"
_ROWS = "generate_series(0, :count - 1) AS n"
_HASH = "md5(n::text) || md5(n::text) || md5(n::text) || md5(n::text)"

_OURS = (
    "INSERT INTO image (id, owner, name, status, visibility, created_at, updated_at, protected, "
    "hidden, disk_format, container_format, min_disk_gib, min_ram_mib, size_bytes, md5, "
    "hash_algorithm, hash_value, kind, revision) "
    f"SELECT {_ID}, {_OWNER}, 'image ' || n, 'active', {_KIND}, ({_MOMENT}) AT TIME ZONE 'UTC', "
    f"({_MOMENT}) AT TIME ZONE 'UTC', false, false, 'qcow2', 'bare', 0, 0, n, md5(n::text), "
    f"'sha512', {_HASH}, 'system-disk', 0 FROM {_ROWS}",
    f"INSERT INTO image_tag (image_id, tag) SELECT {_ID}, 't' || n % 100 FROM {_ROWS}",
    f"INSERT INTO image_property (image_id, name, value) SELECT {_ID}, 'serial', n FROM {_ROWS}",
    "INSERT INTO image_disk (image_id, disk_index, role, disk_format, size_bytes) "
    f"SELECT {_ID}, 0, 'system', 'qcow2', n FROM {_ROWS}",
    "INSERT INTO image_location (image_id, disk_index, position, store_id, storage_key) "
    f"SELECT {_ID}, 0, 0, 'local', 'none/' || n FROM {_ROWS}",
    "INSERT INTO image_member (image_id, member_id, status, image_created_at, created_at, "
    f"updated_at) SELECT {_ID}, {_TAKER}, 'accepted', ({_MOMENT}) AT TIME ZONE 'UTC', "
    f"({_MOMENT}) AT TIME ZONE 'UTC', ({_MOMENT}) AT TIME ZONE 'UTC' FROM {_ROWS} "
    f"WHERE {_KIND} = 'shared'",
)
_GLANCE = (
    "INSERT INTO images (id, owner, name, status, visibility, created_at, updated_at, deleted, "
    "protected, os_hidden, disk_format, container_format, min_disk, min_ram, size, checksum, "
    f"os_hash_algo, os_hash_value) SELECT {_ID}, {_OWNER}, 'image ' || n, 'active', "
    f"{_KIND}::image_visibility, {_MOMENT}, {_MOMENT}, false, false, false, 'qcow2', 'bare', 0, "
    f"0, n, md5(n::text), 'sha512', {_HASH} FROM {_ROWS}",
    "INSERT INTO image_tags (image_id, value, created_at, updated_at, deleted) "
    f"SELECT {_ID}, 't' || n % 100, {_MOMENT}, {_MOMENT}, false FROM {_ROWS}",
    "INSERT INTO image_properties (image_id, name, value, created_at, updated_at, deleted) "
    f"SELECT {_ID}, 'serial', n, {_MOMENT}, {_MOMENT}, false FROM {_ROWS}",
    "INSERT INTO image_locations (image_id, value, meta_data, status, created_at, updated_at, "
    f"deleted) SELECT {_ID}, 'file:///none/' || n, '{{\"store\": \"main\"}}', 'active', "
    f"{_MOMENT}, {_MOMENT}, false FROM {_ROWS}",
    "INSERT INTO image_members (image_id, member, can_share, status, created_at, updated_at, "
    f"deleted) SELECT {_ID}, {_TAKER}, false, 'accepted', {_MOMENT}, {_MOMENT}, false "
    f"FROM {_ROWS} WHERE {_KIND} = 'shared'",
)


def fill_ours(url: str, count: int, project_id: str) -> None:
    """Fill our tables; every twentieth image belongs to the project."""
    _fill(url, _OURS, count, project_id)


def fill_glance(url: str, count: int, project_id: str) -> None:
    """Fill Glance's tables alike."""
    _fill(url, _GLANCE, count, project_id)


def _fill(url: str, statements: tuple[str, ...], count: int, project_id: str) -> None:
    engine = sa.create_engine(sa.make_url(url).set(drivername="postgresql+psycopg"))
    with engine.begin() as conn:
        for statement in statements:
            conn.execute(
                sa.text(statement).bindparams(
                    *(
                        sa.bindparam(name, value, type_)
                        for name, value, type_ in (
                            ("count", count, sa.Integer), ("project", project_id, sa.Text),
                        )
                        if f":{name}" in statement
                    )
                )
            )  # fmt: skip
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
        conn.exec_driver_sql("VACUUM ANALYZE")
    engine.dispose()
