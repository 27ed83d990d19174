"""Health: alive, ready, and the backends in detail for administrators."""

import falcon

from imagesvc.api.native import query, views
from imagesvc.manager import backend as backends


class HealthResource:
    """The last probe of each backend; a request never probes."""

    def __init__(self, manager: backends.BackendManager) -> None:
        self._backends = manager

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Show all."""
        query.known(req, set())
        found = self._backends.health(req.context.caller)
        resp.media = {"backends": [views.health(one) for one in found]}


class LiveResource:
    """Whether the process answers; nothing else is looked at."""

    anonymous = True

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Always well."""
        resp.media = {"status": "ok"}


class ReadyResource:
    """Whether work may be sent here: the database and the essential backends."""

    anonymous = True

    def __init__(self, manager: backends.BackendManager) -> None:
        self._backends = manager

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """200, or 503 with the kinds and ids of what does not work."""
        unready = self._backends.unready()
        resp.status = falcon.HTTP_503 if unready else falcon.HTTP_200
        resp.media = {"status": "unready" if unready else "ok", "unready": unready}
