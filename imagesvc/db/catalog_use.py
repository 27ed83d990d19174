"""What the rows say of an image that may be pruned: its size, promise and last use."""

import dataclasses
import datetime
from collections.abc import Sequence

import sqlalchemy as sa

from imagesvc.db import image_table

TABLE = image_table.TABLE


@dataclasses.dataclass(frozen=True, slots=True)
class Keepsake:
    """One image; what is None was never said."""

    image_id: str
    size_bytes: int
    protected: bool
    provided_until: datetime.datetime | None
    last_used_at: datetime.datetime | None


def of(conn: sa.Connection, image_ids: Sequence[str]) -> dict[str, Keepsake]:
    """By id, of those that are there."""
    c = TABLE.c
    statement = sa.select(
        c.id, c.size_bytes, c.protected, c.provided_until, c.last_used_at
    ).where(c.id.in_(image_ids), image_table.ALIVE)  # fmt: skip
    return {
        row.id: Keepsake(
            row.id, row.size_bytes or 0, row.protected, row.provided_until, row.last_used_at
        )
        for row in conn.execute(statement)
    }
