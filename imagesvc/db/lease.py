"""Named leases: one worker at a time does a thing."""

import datetime

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from imagesvc.db import metadata

TABLE = sa.Table(
    "lease",
    metadata.METADATA,
    sa.Column("name", metadata.word(), primary_key=True),
    sa.Column("worker", metadata.word(), nullable=False),
    sa.Column("lease_until", metadata.UtcDateTime(), nullable=False),
)


def acquire(conn: sa.Connection, name: str, worker: str, seconds: float) -> bool:
    """Take the lease, or prolong one's own; False while another holds it."""
    moment = metadata.now()
    insert = (postgresql if conn.dialect.name == "postgresql" else sqlite).insert(TABLE)
    taken = conn.execute(
        insert.values(
            name=name, worker=worker, lease_until=moment + datetime.timedelta(seconds=seconds)
        )
        .on_conflict_do_update(
            index_elements=[TABLE.c.name],
            set_={"worker": insert.excluded.worker, "lease_until": insert.excluded.lease_until},
            where=sa.or_(TABLE.c.worker == worker, TABLE.c.lease_until < moment),
        )
        .returning(TABLE.c.name)
    )
    return taken.one_or_none() is not None


def release(conn: sa.Connection, name: str, worker: str) -> None:
    """Give the lease back; another's is left alone."""
    conn.execute(sa.delete(TABLE).where(TABLE.c.name == name, TABLE.c.worker == worker))
