"""One state change: its transaction and its audit record, together or not at all."""

import contextlib
import dataclasses
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

import imagesvc.db.engine
from imagesvc import errors
from imagesvc.context import RequestContext
from imagesvc.crashpoint import crashpoint
from imagesvc.db import audit as audit_rows
from imagesvc.db import metadata
from imagesvc.manager import audit_digest

SUCCESS = "success"
DENIED = "denied"
FAILURE = "failure"


@dataclasses.dataclass(slots=True)
class Step:
    """What runs inside a transaction; `target_id`, `owner` and `detail` may be set late."""

    conn: Any
    target_id: str
    owner: str | None = None
    detail: dict[str, Any] = dataclasses.field(default_factory=dict)


class Operation:
    """Opens transactions that are audited."""

    def __init__(self, database: "imagesvc.db.engine.Database", audit_key: bytes) -> None:
        self.database = database
        self._key = audit_key

    @contextlib.contextmanager
    def write(
        self,
        ctx: RequestContext,
        action: str,
        target_type: str,
        target_id: str,
        detail: Mapping[str, Any] | None = None,
    ) -> Iterator[Step]:
        """A transaction that ends with an audit row.

        An exception rolls back first; then the attempt is recorded in a transaction of its
        own, and the exception goes on.
        """
        step = Step(None, target_id, detail=dict(detail or {}))
        try:
            with self.database.write() as conn:
                step.conn = conn
                yield step
                self.record(conn, ctx, action, target_type, step, SUCCESS)
                crashpoint("operation.recorded")
            crashpoint("operation.committed")
        except errors.ImagesvcError as exc:  # recorded, then handed on untouched
            self.refuse(ctx, action, target_type, step, exc)
            raise

    def refuse(
        self,
        ctx: RequestContext,
        action: str,
        target_type: str,
        step: Step,
        cause: Exception,
    ) -> None:
        """Record an attempt that was denied or failed, in a transaction of its own.

        What the caller may not see is not recorded under its id's owner: such a row belongs
        to the caller alone.
        """
        outcome = DENIED if isinstance(cause, errors.Forbidden) else FAILURE
        step.detail = {**step.detail, "cause": type(cause).__name__}
        with self.database.write() as conn:
            self.record(conn, ctx, action, target_type, step, outcome)

    def record(
        self,
        conn: Any,
        ctx: RequestContext,
        action: str,
        target_type: str,
        step: Step,
        outcome: str,
    ) -> None:
        """Insert the audit row in the caller's transaction."""
        row = audit_rows.AuditRecord(
            event_id=str(uuid.uuid4()),
            created_at=metadata.now(),
            action=action,
            outcome=outcome,
            target_type=target_type,
            target_id=step.target_id,
            project_id=ctx.project_id,
            user_id=ctx.user_id,
            request_id=ctx.request_id,
            owner_project_id=step.owner,
            detail=step.detail,
        )
        digest = audit_digest.record_digest(self._key, row)
        audit_rows.insert(conn, dataclasses.replace(row, hmac=digest))
