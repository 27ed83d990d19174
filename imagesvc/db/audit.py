"""The audit trail: append-only rows, their seals, and how far each sink has read."""

import dataclasses
import datetime
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from imagesvc import errors
from imagesvc.db import metadata

TABLE = sa.Table(
    "audit",
    metadata.METADATA,
    sa.Column("id", metadata.big_key(), primary_key=True, autoincrement=True),
    sa.Column("event_id", metadata.word(), nullable=False, unique=True),
    sa.Column("created_at", metadata.UtcDateTime(), nullable=False),
    sa.Column("action", metadata.word(), nullable=False),
    sa.Column("outcome", metadata.word(), nullable=False),
    sa.Column("target_type", metadata.word(), nullable=False),
    sa.Column("target_id", metadata.word(), nullable=False),
    sa.Column("project_id", metadata.word()),
    sa.Column("user_id", metadata.word()),
    sa.Column("owner_project_id", metadata.word()),
    sa.Column("request_id", metadata.word(), nullable=False),
    sa.Column("detail", metadata.Json(), nullable=False),
    sa.Column("hmac", metadata.word(), nullable=False),
    sqlite_autoincrement=True,
)
sa.Index("ix_audit_project_id", TABLE.c.project_id, TABLE.c.id)
sa.Index("ix_audit_owner_project_id", TABLE.c.owner_project_id, TABLE.c.id)
sa.Index("ix_audit_target_id", TABLE.c.target_id, TABLE.c.id)
sa.Index("ix_audit_action", TABLE.c.action, TABLE.c.id)

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


@dataclasses.dataclass(frozen=True, slots=True)
class AuditRecord:
    """One recorded action. `hmac` covers the other fields but `id`, which the database gives.

    `owner_project_id` is the project whose thing was acted upon. `number` and `chain` are
    those of its seal, where it was read together with the row.
    """

    event_id: str
    created_at: datetime.datetime
    action: str
    outcome: str
    target_type: str
    target_id: str
    project_id: str | None
    user_id: str | None
    request_id: str
    owner_project_id: str | None = None
    detail: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    hmac: str = ""
    id: int = 0
    number: int | None = None
    chain: str | None = None


_FIELDS = (
    "event_id", "created_at", "action", "outcome", "target_type", "target_id", "project_id",
    "user_id", "request_id", "owner_project_id", "detail", "hmac",
)  # fmt: skip
_COLUMNS = (TABLE.c.id, *(TABLE.c[field] for field in _FIELDS))


def insert(conn: sa.Connection, record: AuditRecord) -> None:
    """Append a record, with its HMAC, in the transaction of what it tells of."""
    conn.execute(sa.insert(TABLE).values({field: getattr(record, field) for field in _FIELDS}))


def list_page(
    conn: sa.Connection,
    *,
    project_id: str | None = None,
    owner_project_id: str | None = None,
    action: str | None = None,
    target_id: str | None = None,
    marker: str | None = None,
    limit: int = 25,
) -> tuple[AuditRecord, ...]:
    """Records, newest first, after the event id `marker`.

    With both projects given: those of either. Raises InvalidRequest (MARKER) for an unknown
    or foreign marker.
    """
    own = [
        column == project
        for column, project in (
            (TABLE.c.project_id, project_id),
            (TABLE.c.owner_project_id, owner_project_id),
        )
        if project is not None
    ]
    seen = sa.or_(*own) if own else sa.true()
    statement = sa.select(*_COLUMNS).where(seen)
    if action is not None:
        statement = statement.where(TABLE.c.action == action)
    if target_id is not None:
        statement = statement.where(TABLE.c.target_id == target_id)
    if marker is not None:
        last = conn.scalar(sa.select(TABLE.c.id).where(TABLE.c.event_id == marker, seen))
        if last is None:
            raise errors.InvalidRequest(
                "The marker {marker} is no event that you can list from.",
                reason=errors.Reason.MARKER,
                marker=marker,
            )
        statement = statement.where(TABLE.c.id < last)
    return _records(conn, statement.order_by(TABLE.c.id.desc()).limit(limit))


def unsealed(conn: sa.Connection, limit: int) -> tuple[AuditRecord, ...]:
    """The oldest records that have no seal yet."""
    statement = (
        sa.select(*_COLUMNS)
        .join_from(UNSEALED, TABLE, UNSEALED.c.audit_id == TABLE.c.id)
        .order_by(UNSEALED.c.audit_id)
        .limit(limit)
    )
    return _records(conn, statement)


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
        sa.select(*_COLUMNS, SEAL.c.number, SEAL.c.chain)
        .join_from(SEAL, TABLE, SEAL.c.audit_id == TABLE.c.id)
        .where(SEAL.c.number > after)
        .order_by(SEAL.c.number)
        .limit(limit)
    )
    return _records(conn, statement)


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


def _records(conn: sa.Connection, statement: sa.Select[Any]) -> tuple[AuditRecord, ...]:
    return tuple(AuditRecord(**row) for row in conn.execute(statement).mappings())
