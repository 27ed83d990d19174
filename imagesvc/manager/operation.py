"""One state change: its transaction and its audit record, together or not at all."""

import contextlib
import dataclasses
import logging
import threading
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

import imagesvc.db.engine
from imagesvc import errors
from imagesvc.context import RequestContext
from imagesvc.crashpoint import crashpoint
from imagesvc.db import audit as audit_rows
from imagesvc.db import metadata
from imagesvc.interface.errors import AccessDenied, DriverError
from imagesvc.interface.identity import Unauthenticated
from imagesvc.manager import audit_digest, refusal
from imagesvc.manager.refusal import Refusal, Refusals

LOG = logging.getLogger(__name__)
SUCCESS = "success"
DENIED = "denied"
FAILURE = "failure"
OUTCOMES = (SUCCESS, DENIED, FAILURE)
_DENIALS = (errors.Forbidden, errors.Unauthorized, Unauthenticated, AccessDenied)


@dataclasses.dataclass(slots=True)
class Step:
    """What runs inside a transaction; `target_id`, `owner` and `detail` may be set late."""

    conn: Any
    target_id: str
    owner: str | None = None
    detail: dict[str, Any] = dataclasses.field(default_factory=dict)


class Operation:
    """Opens transactions that are audited."""

    def __init__(
        self,
        database: "imagesvc.db.engine.Database",
        audit_key: bytes,
        refusals: Refusals | None = None,
    ) -> None:
        self.database = database
        self._key = audit_key
        self._refusals = refusals or Refusals()
        self._timer: threading.Timer | None = None

    def close(self) -> None:
        """Record what was only counted so far."""
        if self._timer is not None:
            self._timer.cancel()
        self.record_counts(now=True)

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
        own, and the exception goes on. AlreadySubmitted is not recorded: the first job is what
        the caller gets.
        """
        attempt = self.attempt(ctx, action, target_type, target_id, detail)
        with attempt as step, self.database.write() as conn:
            step.conn = conn
            yield step
            self.record(conn, ctx, action, target_type, step, SUCCESS)
            crashpoint("operation.recorded")
        crashpoint("operation.committed")

    @contextlib.contextmanager
    def attempt(
        self,
        ctx: RequestContext,
        action: str,
        target_type: str,
        target_id: str,
        detail: Mapping[str, Any] | None = None,
        *,
        of: tuple[type[Exception], ...] = (errors.ImagesvcError, DriverError),
    ) -> Iterator[Step]:
        """What is recorded only if it is refused, by one of the exceptions `of`."""
        step = Step(None, target_id, detail=dict(detail or {}))
        try:
            yield step
        except errors.AlreadySubmitted:  # no attempt of its own: the first one was recorded
            raise
        except of as exc:  # recorded, then handed on untouched
            self.refuse(ctx, action, target_type, step, exc)
            raise

    def look(
        self, ctx: RequestContext, action: str, target_type: str, target_id: str = "-"
    ) -> contextlib.AbstractContextManager[Step]:
        """A reading: recorded only if it is denied, or its target is not the caller's to see."""
        of = (errors.Forbidden, errors.NotFound)
        return self.attempt(ctx, action, target_type, target_id, of=of)

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
        to the caller alone. Of many alike, most are only counted (`manager/refusal.py`).
        """
        outcome = DENIED if isinstance(cause, _DENIALS) else FAILURE
        name = type(cause).__name__
        alike = Refusal(ctx.project_id, ctx.user_id, action, target_type, outcome, name)
        if not self._refusals.admit(alike):
            self._arm()
            return
        step.detail = {**step.detail, "cause": name}
        reason = getattr(cause, "reason", errors.Reason.UNKNOWN)
        if reason != errors.Reason.UNKNOWN:
            step.detail["reason"] = str(reason)
        with self.database.write() as conn:
            self.record(conn, ctx, action, target_type, step, outcome)

    def record_counts(self, *, now: bool = False) -> None:
        """One record for each kind of refusal of which some were only counted."""
        counts = self._refusals.take(now=now)
        if not counts:
            return
        try:
            with self.database.write() as conn:
                for one, count in counts.items():
                    ctx = RequestContext(one.user_id, one.project_id)
                    detail = {"cause": one.cause, "more": count}
                    step = Step(conn, "-", detail=detail)
                    self.record(conn, ctx, one.action, one.target_type, step, one.outcome)
        except Exception:  # no request waits for it; the next round has the counts
            LOG.exception("refused attempts not recorded kinds=%s", len(counts))
            self._refusals.give_back(counts)
            self._arm()

    def _arm(self) -> None:
        """See to it that counts are recorded soon after their window, once."""
        if self._timer is not None and self._timer.is_alive():
            return
        self._timer = threading.Timer(refusal.WINDOW_S, self._on_timer)
        self._timer.daemon = True
        self._timer.start()

    def _on_timer(self) -> None:
        self._timer = None
        self.record_counts(now=True)

    def record(
        self,
        conn: Any,
        ctx: RequestContext,
        action: str,
        target_type: str,
        step: Step,
        outcome: str,
    ) -> None:
        """Insert the audit row in the caller's transaction.

        Its detail names the service that acted for the user, if one did, and the region and
        project for which another region's service did.
        """
        service = {"service_user_id": ctx.service_user_id} if ctx.service_user_id else {}
        if ctx.agent is not None:
            service["source_region"] = ctx.agent.source_region
            service["source_project_id"] = ctx.agent.source_project_id
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
            detail={**step.detail, **service},
        )
        digest = audit_digest.record_digest(self._key, row)
        audit_rows.insert(conn, dataclasses.replace(row, hmac=digest))
