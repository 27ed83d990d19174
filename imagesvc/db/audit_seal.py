"""Seals of the audit trail: numbers, the chain, its signed head; how far each sink has read."""

import dataclasses
import datetime
from collections.abc import Iterator, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from imagesvc.db import audit, metadata
from imagesvc.db.audit import AuditRecord

TABLE = audit.TABLE

# Filled by a trigger with each audit row, emptied by sealing. Other triggers, made by the
# migration too, refuse to change or remove rows of the trail and its seals.
UNSEALED = sa.Table(
    "audit_unsealed",
    metadata.METADATA,
    sa.Column("audit_id", sa.BigInteger(), primary_key=True, autoincrement=False),
)

SEAL = sa.Table(
    "audit_seal",
    metadata.METADATA,
    sa.Column("number", sa.BigInteger(), primary_key=True, autoincrement=False),
    sa.Column("audit_id", sa.BigInteger(), sa.ForeignKey("audit.id"), nullable=False, unique=True),
    sa.Column("chain", metadata.word(), nullable=False),
)

CURSOR = sa.Table(
    "audit_cursor",
    metadata.METADATA,
    sa.Column("sink", metadata.word(), primary_key=True),
    sa.Column("number", sa.BigInteger(), nullable=False),
)

# One row: the newest seal as signed by the sealing worker, so that a cut tail is seen.
HEAD = sa.Table(
    "audit_head",
    metadata.METADATA,
    sa.Column("id", sa.Integer(), primary_key=True, autoincrement=False),
    sa.Column("number", sa.BigInteger(), nullable=False),
    sa.Column("chain", metadata.word(), nullable=False),
    sa.Column("hmac", metadata.word(), nullable=False),
)
_HEAD_ID = 1


@dataclasses.dataclass(frozen=True, slots=True)
class Head:
    """Number and chain of the newest seal; `hmac` signs the two."""

    number: int
    chain: str
    hmac: str


@dataclasses.dataclass(frozen=True, slots=True)
class Link:
    """One seal, and the HMAC of its record; None if the record is gone."""

    number: int
    audit_id: int
    chain: str
    record_hmac: str | None


def unsealed(conn: sa.Connection, limit: int) -> tuple[AuditRecord, ...]:
    """The oldest records that have no seal yet."""
    statement = (
        sa.select(*audit.COLUMNS)
        .join_from(UNSEALED, TABLE, UNSEALED.c.audit_id == TABLE.c.id)
        .order_by(UNSEALED.c.audit_id)
        .limit(limit)
    )
    return audit.records(conn, statement)


def unsealed_since(conn: sa.Connection) -> tuple[int, datetime.datetime | None]:
    """How many records wait for a seal, and the time of the oldest."""
    statement = sa.select(sa.func.count(), sa.func.min(TABLE.c.created_at)).join_from(
        UNSEALED, TABLE, UNSEALED.c.audit_id == TABLE.c.id
    )
    count, oldest = conn.execute(statement).one()
    return count, oldest


def last_seal(conn: sa.Connection) -> tuple[int, str]:
    """Number and chain of the newest seal; (0, "") before the first."""
    statement = sa.select(SEAL.c.number, SEAL.c.chain).order_by(SEAL.c.number.desc()).limit(1)
    row = conn.execute(statement).one_or_none()
    return (0, "") if row is None else (row.number, row.chain)


def seal(conn: sa.Connection, seals: Sequence[tuple[int, int, str]]) -> None:
    """Add seals: (number, id of the record, chain). A taken number is an error."""
    if not seals:
        return
    conn.execute(
        sa.insert(SEAL),
        [{"number": number, "audit_id": id_, "chain": chain} for number, id_, chain in seals],
    )
    sealed = [id_ for _, id_, _ in seals]
    conn.execute(sa.delete(UNSEALED).where(UNSEALED.c.audit_id.in_(sealed)))


def list_sealed(conn: sa.Connection, after: int, limit: int) -> tuple[AuditRecord, ...]:
    """Sealed records in the order of their numbers, those above `after`."""
    statement = (
        sa.select(*audit.COLUMNS, SEAL.c.number, SEAL.c.chain)
        .join_from(SEAL, TABLE, SEAL.c.audit_id == TABLE.c.id)
        .where(SEAL.c.number > after)
        .order_by(SEAL.c.number)
        .limit(limit)
    )
    return audit.records(conn, statement)


def get_cursor(conn: sa.Connection, sink: str) -> int:
    """Number of the last record that the sink took; 0 before the first."""
    return conn.scalar(sa.select(CURSOR.c.number).where(CURSOR.c.sink == sink)) or 0


def set_cursor(conn: sa.Connection, sink: str, number: int) -> None:
    """The sink took everything up to `number`."""
    insert_ = (postgresql if conn.dialect.name == "postgresql" else sqlite).insert(CURSOR)
    conn.execute(
        insert_.values(sink=sink, number=number).on_conflict_do_update(
            index_elements=[CURSOR.c.sink], set_={"number": insert_.excluded.number}
        )
    )


def get_head(conn: sa.Connection) -> Head | None:
    """The signed head; None before the first seal."""
    row = conn.execute(sa.select(HEAD.c.number, HEAD.c.chain, HEAD.c.hmac)).one_or_none()
    return None if row is None else Head(*row)


def set_head(conn: sa.Connection, head: Head) -> None:
    """Put the head of the newest seal."""
    values = dataclasses.asdict(head)
    insert_ = (postgresql if conn.dialect.name == "postgresql" else sqlite).insert(HEAD)
    conn.execute(
        insert_.values(id=_HEAD_ID, **values).on_conflict_do_update(
            index_elements=[HEAD.c.id], set_=values
        )
    )


def cursors(conn: sa.Connection) -> dict[str, int]:
    """How far each sink has read, by its id."""
    return {row.sink: row.number for row in conn.execute(sa.select(CURSOR))}


def list_written(conn: sa.Connection, after: int, limit: int) -> tuple[AuditRecord, ...]:
    """Records by id, sealed or not, those above the id `after`."""
    statement = (
        sa.select(*audit.COLUMNS, SEAL.c.number, SEAL.c.chain)
        .outerjoin_from(TABLE, SEAL, SEAL.c.audit_id == TABLE.c.id)
        .where(TABLE.c.id > after)
        .order_by(TABLE.c.id)
        .limit(limit)
    )
    return audit.records(conn, statement)


def list_links(conn: sa.Connection, after: int, limit: int) -> tuple[Link, ...]:
    """Seals by number, those above `after`, also those whose record is gone."""
    statement = (
        sa.select(SEAL.c.number, SEAL.c.audit_id, SEAL.c.chain, TABLE.c.hmac)
        .outerjoin_from(SEAL, TABLE, SEAL.c.audit_id == TABLE.c.id)
        .where(SEAL.c.number > after)
        .order_by(SEAL.c.number)
        .limit(limit)
    )
    return tuple(Link(*row) for row in conn.execute(statement))


def strays(conn: sa.Connection) -> Iterator[tuple[int, str]]:
    """Id and event id of records that have no seal and do not wait for one."""
    sealed = sa.exists().where(SEAL.c.audit_id == TABLE.c.id)
    waits = sa.exists().where(UNSEALED.c.audit_id == TABLE.c.id)
    yield from _pairs(conn, sa.select(TABLE.c.id, TABLE.c.event_id).where(~sealed, ~waits))


def lost(conn: sa.Connection) -> Iterator[int]:
    """Ids that wait for a seal and have no record."""
    there = sa.exists().where(UNSEALED.c.audit_id == TABLE.c.id)
    for row in conn.execute(sa.select(UNSEALED.c.audit_id).where(~there)):
        yield row.audit_id


def doubles(conn: sa.Connection) -> Iterator[tuple[int, str]]:
    """Id and event id of the later records of an event that stands there twice."""
    statement = (
        sa.select(sa.func.max(TABLE.c.id), TABLE.c.event_id)
        .group_by(TABLE.c.event_id)
        .having(sa.func.count() > 1)
    )
    yield from _pairs(conn, statement)


def _pairs(conn: sa.Connection, statement: Any) -> Iterator[tuple[int, str]]:
    with conn.execution_options(stream_results=True).execute(statement) as rows:
        for row in rows:
            yield row[0], row[1]
