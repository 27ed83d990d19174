"""The audit trail as callers read it."""

import dataclasses
from typing import Any

from imagesvc import errors
from imagesvc.context import RequestContext
from imagesvc.db import audit_list
from imagesvc.db.audit import AuditRecord
from imagesvc.db.audit_list import AuditQuery
from imagesvc.manager.operation import Operation
from imagesvc.policy.check import Enforcer

LIMIT_DEFAULT = 100
LIMIT_MAX = 1000
# Nouns of actions that make something of an image; what was made is the project's that made it.
MADE = frozenset({"server", "volume", "node", "backup"})


class AuditManager:
    """Reads recorded actions; nobody changes them."""

    def __init__(self, operation: Operation, enforcer: Enforcer) -> None:
        self._operation = operation
        self._enforcer = enforcer

    def query(
        self, ctx: RequestContext, *, limit: int = LIMIT_DEFAULT, **wanted: Any
    ) -> tuple[AuditRecord, ...]:
        """Newest first: one's own project's actions and those of others on its things.

        `wanted` are facts of AuditQuery. Administrators see all. Raises Forbidden,
        InvalidRequest.
        """
        query = AuditQuery(limit=limit, **wanted)
        with self._operation.look(ctx, "audit:list", "audit"):
            self._enforcer.authorize(ctx, "audit:list")
        if not 0 <= query.limit <= LIMIT_MAX:
            raise errors.InvalidRequest(f"limit must be from 0 to {LIMIT_MAX}.")
        seen_by = None if self._enforcer.allows(ctx, "audit:list_all") else ctx.project_id or "-"
        with self._operation.database.read() as conn:
            found = audit_list.list_page(conn, query, seen_by)
        return tuple(_seen(record, seen_by) for record in found)


def _seen(record: AuditRecord, seen_by: str | None) -> AuditRecord:
    """What the owner of a thing sees: that another project used it, not what it made of it."""
    if seen_by in (None, record.project_id) or record.action.split(":")[0] not in MADE:
        return record
    return dataclasses.replace(record, detail={})
