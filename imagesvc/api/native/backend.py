"""The configured backends, for administrators."""

import falcon

from imagesvc.api.native import query, views
from imagesvc.manager import backend as backends


class BackendsResource:
    """Which driver serves which backend, and what it can."""

    def __init__(self, manager: backends.BackendManager) -> None:
        self._backends = manager

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """List all."""
        query.known(req, set())
        found = self._backends.list(req.context.caller)
        resp.media = {"backends": [views.backend(one) for one in found]}
