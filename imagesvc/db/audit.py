"""The audit trail: append-only rows; their seals stand in `audit_seal`."""

import dataclasses
import datetime
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

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
for _name in ("project_id", "owner_project_id", "target_id", "action", "user_id", "outcome"):
    sa.Index(f"ix_audit_{_name}", TABLE.c[_name], TABLE.c.created_at, TABLE.c.id)
sa.Index("ix_audit_newest", TABLE.c.created_at, TABLE.c.id)


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
_INSERT = sa.insert(TABLE)
COLUMNS = (TABLE.c.id, *(TABLE.c[field] for field in _FIELDS))


def insert(conn: sa.Connection, record: AuditRecord) -> None:
    """Append a record, with its HMAC, in the transaction of what it tells of."""
    conn.execute(_INSERT, {field: getattr(record, field) for field in _FIELDS})


def records(conn: sa.Connection, statement: Any) -> tuple[AuditRecord, ...]:
    """The records of a statement that selects COLUMNS, or these and those of a seal."""
    return tuple(AuditRecord(**row) for row in conn.execute(statement).mappings())
