"""`GET /v3`: the version of the identity door."""

from typing import Any

import falcon

from imagesvc.api.identity import catalog


class VersionResource:
    """Discovery needs no token."""

    anonymous = True

    def __init__(self, service: Any) -> None:
        self._catalog = catalog.Catalog(service)

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Show it."""
        resp.media = {
            "version": {
                "id": "v3.14",
                "status": "stable",
                "updated": "2020-04-07T00:00:00Z",
                "links": [{"rel": "self", "href": self._catalog.root(req) + "/v3/"}],
                "media-types": [
                    {
                        "base": "application/json",
                        "type": "application/vnd.openstack.identity-v3+json",
                    }
                ],
            }
        }
