"""Disks of an image, and where their bytes are."""

from collections.abc import Mapping, Sequence

import sqlalchemy as sa

from imagesvc.db import damage, metadata
from imagesvc.domain import guest
from imagesvc.domain.image import Damage, ImageDisk

TABLE = sa.Table(
    "image_disk",
    metadata.METADATA,
    sa.Column("image_id", metadata.word(), sa.ForeignKey("image.id"), primary_key=True),
    sa.Column("disk_index", sa.Integer(), primary_key=True, autoincrement=False),
    sa.Column("role", metadata.word(), nullable=False),
    sa.Column("disk_format", metadata.word(), nullable=False),
    sa.Column("size_bytes", sa.BigInteger(), nullable=False),
    sa.Column("virtual_size_bytes", sa.BigInteger()),
    sa.Column("md5", metadata.word()),
    sa.Column("hash_algorithm", metadata.word()),
    sa.Column("hash_value", metadata.word()),
    # What was found by looking into it, as JSON.
    sa.Column("guest", sa.Text()),
)

LOCATION = sa.Table(
    "image_location",
    metadata.METADATA,
    sa.Column("image_id", metadata.word(), primary_key=True),
    sa.Column("disk_index", sa.Integer(), primary_key=True, autoincrement=False),
    sa.Column("position", sa.Integer(), primary_key=True, autoincrement=False),
    sa.Column("store_id", metadata.word(), nullable=False),
    sa.Column("storage_key", metadata.word(), nullable=False),
    sa.ForeignKeyConstraint(
        ["image_id", "disk_index"], ["image_disk.image_id", "image_disk.disk_index"]
    ),
    # Bytes belong to one disk, so that their removal harms no other.
    sa.UniqueConstraint("store_id", "storage_key"),
)

_FACTS = (
    "role", "disk_format", "size_bytes", "virtual_size_bytes", "md5", "hash_algorithm",
    "hash_value",
)  # fmt: skip

_MARK = damage.TABLE.c
_MARKED = sa.and_(
    _MARK.store_id == LOCATION.c.store_id, _MARK.storage_key == LOCATION.c.storage_key
)
_WITH_PLACES = (
    sa.select(
        TABLE,
        LOCATION.c.store_id,
        LOCATION.c.storage_key,
        _MARK.copy_number,
        _MARK.fault,
        _MARK.found_at,
    )
    .select_from(TABLE.outerjoin(LOCATION).outerjoin(damage.TABLE, _MARKED))
    .where(TABLE.c.image_id == sa.bindparam("wanted_id"))
    .order_by(TABLE.c.disk_index, LOCATION.c.position, _MARK.copy_number)
)


def insert_disk(conn: sa.Connection, image_id: str, disk: ImageDisk) -> None:
    """Add a disk with its locations."""
    conn.execute(
        sa.insert(TABLE).values(
            image_id=image_id,
            disk_index=disk.index,
            **{fact: getattr(disk, fact) for fact in _FACTS},
            **({"guest": guest.text(disk.guest)} if disk.guest is not None else {}),
        )
    )
    for position, (store_id, storage_key) in enumerate(disk.locations):
        conn.execute(
            sa.insert(LOCATION).values(
                image_id=image_id,
                disk_index=disk.index,
                position=position,
                store_id=store_id,
                storage_key=storage_key,
            )
        )


def list_for(conn: sa.Connection, image_id: str) -> tuple[ImageDisk, ...]:
    """Disks of an image by index, each with its locations, best first, and their damages."""
    disks: dict[int, ImageDisk] = {}
    places: dict[int, dict[tuple[str, str], None]] = {}
    damages: dict[int, list[Damage]] = {}
    for row in conn.execute(_WITH_PLACES, {"wanted_id": image_id}).mappings():
        index, place = row["disk_index"], (row["store_id"], row["storage_key"])
        found, wrong = places.setdefault(index, {}), damages.setdefault(index, [])
        if row["store_id"] is not None:
            found[place] = None
        if row["fault"] is not None:
            wrong.append(Damage(*place, row["copy_number"], row["fault"], row["found_at"]))
        disks[index] = ImageDisk(
            index=index,
            locations=tuple(found),
            guest=guest.of_text(row["guest"]),
            damages=tuple(wrong),
            **{fact: row[fact] for fact in _FACTS},
        )
    return tuple(disks.values())


def places_of(
    conn: sa.Connection, image_ids: Sequence[str]
) -> dict[str, tuple[tuple[str, str], ...]]:
    """Image id -> locations of its first disk in the order in which they came, if it has any."""
    statement = (
        sa.select(LOCATION.c.image_id, LOCATION.c.store_id, LOCATION.c.storage_key)
        .where(LOCATION.c.image_id.in_(image_ids), LOCATION.c.disk_index == 0)
        .order_by(LOCATION.c.image_id, LOCATION.c.position)
    )
    found: dict[str, tuple[tuple[str, str], ...]] = {}
    for row in conn.execute(statement):
        found[row.image_id] = (*found.get(row.image_id, ()), (row.store_id, row.storage_key))
    return found


def holds(conn: sa.Connection, store_id: str, storage_key: str) -> bool:
    """Whether the object is part of a disk."""
    places = sa.select(LOCATION.c.image_id).where(
        LOCATION.c.store_id == store_id, LOCATION.c.storage_key == storage_key
    )
    return conn.scalar(places) is not None


def count_by_copies(conn: sa.Connection, kept: Mapping[str, int]) -> dict[int, int]:
    """How many disks have how many good copies; reads the whole table.

    `kept` says how many copies a store keeps of each object; one that it leaves out keeps one.
    """
    number = sa.case(dict(kept), value=LOCATION.c.store_id, else_=1) if kept else sa.literal(1)
    marked = (
        sa.select(sa.func.count())
        .select_from(damage.TABLE)
        .where(_MARKED, _MARK.copy_number < number)
        .correlate(LOCATION)
        .scalar_subquery()
    )
    good = sa.case((LOCATION.c.store_id.is_(None), 0), else_=number - marked)
    copies = (
        sa.select(sa.cast(sa.func.sum(good), sa.Integer).label("copies"))
        .select_from(TABLE.outerjoin(LOCATION))
        .group_by(TABLE.c.image_id, TABLE.c.disk_index)
        .subquery()
    )
    statement = sa.select(copies.c.copies, sa.func.count()).group_by(copies.c.copies)
    return {number: disks for number, disks in conn.execute(statement)}


def size_of(conn: sa.Connection, image_id: str) -> int:
    """Stored bytes of all disks of an image."""
    total = sa.cast(sa.func.coalesce(sa.func.sum(TABLE.c.size_bytes), 0), sa.BigInteger)
    return conn.execute(sa.select(total).where(TABLE.c.image_id == image_id)).scalar_one()


def delete_for(conn: sa.Connection, image_id: str) -> tuple[list[tuple[str, str]], int]:
    """Remove all disks of an image.

    Returns (store id, storage key) of bytes now without owner, and how many bytes they are.
    """
    removed = conn.execute(
        sa.delete(LOCATION)
        .where(LOCATION.c.image_id == image_id)
        .returning(LOCATION.c.store_id, LOCATION.c.storage_key)
    )
    places = [(row.store_id, row.storage_key) for row in removed]
    sizes = conn.scalars(
        sa.delete(TABLE).where(TABLE.c.image_id == image_id).returning(TABLE.c.size_bytes)
    )
    return places, sum(sizes)
