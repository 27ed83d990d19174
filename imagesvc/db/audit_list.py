"""Pages of the audit trail, each branch of what a caller sees from an index of its own."""

import dataclasses
import datetime
from typing import Any

import sqlalchemy as sa

from imagesvc.db import audit, marker, metadata
from imagesvc.db.audit import AuditRecord

TABLE = audit.TABLE
_NEWEST = (TABLE.c.created_at.desc(), TABLE.c.id.desc())


@dataclasses.dataclass(frozen=True, slots=True)
class AuditQuery:
    """What a caller asks for; None leaves a fact open. `since` is included, `until` is not."""

    project_id: str | None = None
    user_id: str | None = None
    target_id: str | None = None
    action: str | None = None
    outcome: str | None = None
    since: datetime.datetime | None = None
    until: datetime.datetime | None = None
    marker: str | None = None
    limit: int = 25


def list_page(
    conn: sa.Connection, query: AuditQuery, seen_by: str | None = None
) -> tuple[AuditRecord, ...]:
    """Records, newest first, after the event id `query.marker`.

    With `seen_by`: what that project did, and what others did to its things. Raises
    InvalidRequest (MARKER) for an unknown or foreign marker.
    """
    wanted = _conditions(query)
    if query.marker is not None:
        edge = marker.find(
            conn, "event", query.marker, TABLE.c.event_id, [sa.or_(*_branches(seen_by))],
            (TABLE.c.created_at, TABLE.c.id),
        )  # fmt: skip
        last = sa.tuple_(
            sa.literal(edge["created_at"], metadata.UtcDateTime()), sa.literal(edge["id"])
        )
        wanted.append(sa.tuple_(TABLE.c.created_at, TABLE.c.id) < last)
    parts = [
        sa.select(*audit.COLUMNS).where(branch, *wanted).order_by(*_NEWEST).limit(query.limit)
        for branch in _branches(seen_by)
    ]
    return audit.records(conn, parts[0] if len(parts) == 1 else _merged(parts, query.limit))


def _branches(seen_by: str | None) -> tuple[sa.ColumnElement[bool], ...]:
    """Disjoint conditions, each begun by an index."""
    if seen_by is None:
        return (sa.true(),)
    others = sa.or_(TABLE.c.project_id.is_(None), TABLE.c.project_id != seen_by)
    return (TABLE.c.project_id == seen_by, sa.and_(TABLE.c.owner_project_id == seen_by, others))


def _conditions(query: AuditQuery) -> list[sa.ColumnElement[bool]]:
    names = ("project_id", "user_id", "target_id", "action", "outcome")
    found = [TABLE.c[name] == getattr(query, name) for name in names if getattr(query, name)]
    if query.since is not None:
        found.append(TABLE.c.created_at >= query.since)
    if query.until is not None:
        found.append(TABLE.c.created_at < query.until)
    return found


def _merged(parts: list[Any], limit: int) -> sa.Select[Any]:
    # Each part in a sub-select of its own: SQLite takes ORDER BY only at the end of a union.
    union = sa.union_all(*(sa.select(part.subquery()) for part in parts)).subquery("page")
    return sa.select(union).order_by(union.c.created_at.desc(), union.c.id.desc()).limit(limit)
