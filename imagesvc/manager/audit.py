"""The audit trail as callers read it."""

from imagesvc import errors
from imagesvc.context import RequestContext
from imagesvc.db import audit as audit_rows
from imagesvc.manager.operation import Operation
from imagesvc.policy.check import Enforcer

LIMIT_MAX = 1000


class AuditManager:
    """Reads recorded actions; nobody changes them."""

    def __init__(self, operation: Operation, enforcer: Enforcer) -> None:
        self._operation = operation
        self._enforcer = enforcer

    def query(
        self,
        ctx: RequestContext,
        *,
        action: str | None = None,
        target_id: str | None = None,
        marker: str | None = None,
        limit: int = 100,
    ) -> tuple[audit_rows.AuditRecord, ...]:
        """Newest first: one's own project's actions and those on its images; admin all.

        `marker` is the event id of the last one seen. Raises Forbidden, InvalidRequest.
        """
        self._enforcer.authorize(ctx, "audit:list")
        if not 0 <= limit <= LIMIT_MAX:
            raise errors.InvalidRequest(f"limit must be from 0 to {LIMIT_MAX}.")
        own = None if self._enforcer.allows(ctx, "audit:list_all") else ctx.project_id or "-"
        with self._operation.database.read() as conn:
            return audit_rows.list_page(
                conn,
                project_id=own,
                owner_project_id=own,
                action=action,
                target_id=target_id,
                marker=marker,
                limit=limit,
            )
