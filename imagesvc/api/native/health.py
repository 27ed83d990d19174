"""Health of the backends in detail, for administrators."""

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
