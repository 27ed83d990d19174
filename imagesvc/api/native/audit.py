"""The audit trail."""

import falcon

from imagesvc.api.native import query, views
from imagesvc.manager import audit as audits
from imagesvc.manager.operation import OUTCOMES

_WORDS = ("project_id", "user_id", "target_id", "action")


class AuditResource:
    """Recorded actions: one's own, and those of others on one's images."""

    def __init__(self, manager: audits.AuditManager) -> None:
        self._audits = manager

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """List, newest first."""
        page = query.page(req, {*_WORDS, "outcome", "since", "until"})
        found = self._audits.query(
            req.context.caller,
            **{name: query.text(req, name) for name in _WORDS},
            outcome=query.choice(req, "outcome", OUTCOMES),
            since=query.moment(req, "since"),
            until=query.moment(req, "until"),
            marker=page.marker,
            limit=page.limit,
        )
        resp.media = query.answer(
            "events", found, page, views.audit_event, lambda event: event.event_id
        )
