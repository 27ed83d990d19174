"""The audit trail."""

import falcon

from imagesvc.api.native import query, views
from imagesvc.manager import audit as audits


class AuditResource:
    """Recorded actions: one's own, and those of others on one's images."""

    def __init__(self, manager: audits.AuditManager) -> None:
        self._audits = manager

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """List, newest first."""
        page = query.page(req, {"action", "target_id"})
        found = self._audits.query(
            req.context.caller,
            action=query.text(req, "action"),
            target_id=query.text(req, "target_id"),
            marker=page.marker,
            limit=page.limit,
        )
        resp.media = query.answer(
            "events", found, page, views.audit_event, lambda event: event.event_id
        )
