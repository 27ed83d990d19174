"""Who names an object of a store: a disk, an upload, a writer under way, or the reaper's list."""

import dataclasses

import sqlalchemy as sa

from imagesvc.db import (
    damage,
    doomed,
    foreign_location,
    image_disk,
    image_table,
    pending,
    upload_part,
)
from imagesvc.domain.state import ImageStatus

LOCATION = image_disk.LOCATION
_HAS_BYTES = tuple(
    str(one) for one in (ImageStatus.ACTIVE, ImageStatus.DEACTIVATED, ImageStatus.PENDING_DELETE)
)


@dataclasses.dataclass(frozen=True, slots=True)
class Location:
    """The bytes of one disk, as its row says."""

    storage_key: str
    image_id: str
    disk_index: int
    size_bytes: int


def page(
    conn: sa.Connection, store_id: str, after: str, limit: int, key: str | None = None
) -> list[Location]:
    """Locations in a store ordered by key, those after the key `after`; or only that of `key`."""
    disk = image_disk.TABLE.c
    wanted = LOCATION.c.storage_key > after if key is None else LOCATION.c.storage_key == key
    statement = (
        sa.select(
            LOCATION.c.storage_key, LOCATION.c.image_id, LOCATION.c.disk_index, disk.size_bytes
        )
        .join_from(LOCATION, image_disk.TABLE)
        .where(LOCATION.c.store_id == store_id, wanted)
        .order_by(LOCATION.c.storage_key)
        .limit(limit)
    )
    return [Location(**row) for row in conn.execute(statement).mappings()]


def add(
    conn: sa.Connection, image_id: str, disk_index: int, store_id: str, storage_key: str
) -> None:
    """One more place of a disk, after those that it has; the image is locked by the caller."""
    here = (LOCATION.c.image_id == image_id, LOCATION.c.disk_index == disk_index)
    last = sa.select(sa.func.coalesce(sa.func.max(LOCATION.c.position), -1)).where(*here)
    conn.execute(
        sa.insert(LOCATION).values(
            image_id=image_id,
            disk_index=disk_index,
            position=last.scalar_subquery() + 1,
            store_id=store_id,
            storage_key=storage_key,
        )
    )
    changed(conn, image_id)


def take(conn: sa.Connection, image_id: str, store_id: str) -> list[str]:
    """Forget the places of an image in a store; their keys."""
    wanted = (LOCATION.c.image_id == image_id, LOCATION.c.store_id == store_id)
    gone = sa.delete(LOCATION).where(*wanted).returning(LOCATION.c.storage_key)
    keys = list(conn.scalars(gone))
    changed(conn, image_id)
    return keys


def replace(
    conn: sa.Connection, image_id: str, disk_index: int, place: tuple[str, str], storage_key: str
) -> bool:
    """Other bytes in the same store instead of those at `place`; False if the disk has left it.

    What was known to be wrong with the old ones is forgotten.
    """
    store_id, before = place
    damage.forget(conn, store_id, before)
    moved = conn.execute(
        sa.update(LOCATION)
        .where(
            LOCATION.c.image_id == image_id,
            LOCATION.c.disk_index == disk_index,
            LOCATION.c.store_id == store_id,
            LOCATION.c.storage_key == before,
        )
        .values(storage_key=storage_key)
    )
    if moved.rowcount != 1:
        return False
    changed(conn, image_id)
    return True


def changed(conn: sa.Connection, image_id: str) -> None:
    """Raise the image's revision: whoever remembers where its bytes are must look again."""
    table = image_table.TABLE
    conn.execute(
        sa.update(table).where(table.c.id == image_id).values(revision=table.c.revision + 1)
    )


def store_ids(conn: sa.Connection) -> list[str]:
    """Stores that some disk names."""
    return list(conn.scalars(sa.select(LOCATION.c.store_id).distinct().order_by("store_id")))


def is_named(conn: sa.Connection, store_id: str, key: str) -> bool:
    """Whether any row names the object."""
    return any(
        conn.scalar(
            sa.select(sa.literal(1)).where(table.c.store_id == store_id, table.c.storage_key == key)
        )
        for table in (LOCATION, pending.TABLE, doomed.TABLE, upload_part.TABLE)
    )


def knows_image(conn: sa.Connection, image_id: str) -> bool:
    """Whether there is or was an image of that id in this database."""
    table = image_table.TABLE
    return conn.scalar(sa.select(table.c.id).where(table.c.id == image_id)) is not None


def image_ids(
    conn: sa.Connection,
    after: str,
    limit: int,
    *,
    store_id: str | None = None,
    image_id: str | None = None,
) -> list[str]:
    """Images that have bytes, in a store or anywhere, by id; those after `after`, or that one."""
    table = image_table.TABLE.c
    located = sa.select(LOCATION.c.image_id).where(LOCATION.c.image_id == table.id)
    if store_id is not None:
        located = located.where(LOCATION.c.store_id == store_id)
    statement = sa.select(table.id).where(
        table.status.in_(_HAS_BYTES), sa.exists(located), table.id > after
    )
    if image_id is not None:
        statement = statement.where(table.id == image_id)
    return list(conn.scalars(statement.order_by(table.id).limit(limit)))


def without(conn: sa.Connection, limit: int) -> list[str]:
    """Ids of images that should have bytes and name none, here or elsewhere."""
    table, foreign = image_table.TABLE, foreign_location.TABLE
    located = sa.exists(sa.select(LOCATION.c.image_id).where(LOCATION.c.image_id == table.c.id))
    elsewhere = sa.exists(sa.select(foreign.c.image_id).where(foreign.c.image_id == table.c.id))
    statement = (
        sa.select(table.c.id)
        .where(table.c.status.in_(_HAS_BYTES), ~located, ~elsewhere)
        .order_by(table.c.id)
        .limit(limit)
    )
    return list(conn.scalars(statement))
