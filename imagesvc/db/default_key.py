"""Default keys of projects."""

import sqlalchemy as sa

from imagesvc.db import metadata, unique
from imagesvc.domain.encryption_key import DefaultKey

TABLE = sa.Table(
    "default_key",
    metadata.METADATA,
    sa.Column("project_id", metadata.word(), primary_key=True),
    sa.Column("backend_id", metadata.word(), nullable=False),
    sa.Column("key_id", metadata.word(), nullable=False),
    sa.Column("updated_at", metadata.UtcDateTime(), nullable=False),
)


def get(conn: sa.Connection, project_id: str) -> DefaultKey | None:
    """The default key of a project, if it chose one."""
    found = conn.execute(sa.select(TABLE).where(TABLE.c.project_id == project_id)).one_or_none()
    return None if found is None else DefaultKey(*found)


def put(conn: sa.Connection, key: DefaultKey) -> None:
    """Set it, in the place of one that is there."""
    values = {column.name: getattr(key, column.name) for column in TABLE.columns}
    conn.execute(unique.put(conn, TABLE, values))

