"""Health: alive, ready, and the backends in detail for administrators."""

import falcon

from imagesvc.api.native import query, views
from imagesvc.manager import health


class HealthResource:
    """The last probe of each backend; a request never probes."""

    def __init__(self, manager: health.HealthManager) -> None:
        self._health = manager

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Show all."""
        query.known(req, set())
        found = self._health.list(req.context.caller)
        resp.media = {
            "backends": [views.health(one) for one in found],
            "warnings": list(self._health.warnings(req.context.caller)),
        }


class LiveResource:
    """Whether the process answers; nothing else is looked at."""

    anonymous = True

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Always well."""
        resp.media = {"status": "ok"}


class ReadyResource:
    """Whether work may be sent here: database, default storage, identity, drain file."""

    anonymous = True

    def __init__(self, manager: health.HealthManager) -> None:
        self._health = manager

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """200; or 503 with the reason, and the names of what does not work."""
        found = self._health.readiness()
        resp.status = falcon.HTTP_503 if found.reason else falcon.HTTP_200
        resp.media = {
            "status": "unready" if found.reason else "ok",
            "reason": found.reason,
            "unready": found.unready,
        }
