"""The service catalog: this service alone."""

import uuid
from typing import Any

import falcon

_INTERFACES = ("public", "internal", "admin")
# (type, name, path below the root)
_SERVICES = (("image", "imagesvc", ""), ("identity", "imagesvc-identity", "/v3"))


class Catalog:
    """Endpoints as the catalog shows them, under `public_endpoint` or the request's own URL."""

    def __init__(self, service: Any) -> None:
        self._root = service.conf.service.public_endpoint
        self._region = service.conf.service.region

    def root(self, req: falcon.Request) -> str:
        """The URL of the service, without a slash at the end."""
        return (self._root or req.prefix).rstrip("/")

    def render(self, req: falcon.Request) -> list[dict[str, Any]]:
        """The catalog; ids are the same at each call."""
        return [
            {
                "id": _id(kind),
                "type": kind,
                "name": name,
                "endpoints": [
                    {
                        "id": _id(f"{kind}-{interface}"),
                        "interface": interface,
                        "region": self._region,
                        "region_id": self._region,
                        "url": self.root(req) + path,
                    }
                    for interface in _INTERFACES
                ],
            }
            for kind, name, path in _SERVICES
        ]


def _id(name: str) -> str:
    return uuid.uuid5(uuid.NAMESPACE_OID, name).hex


class CatalogResource:
    """`GET /v3/auth/catalog`."""

    def __init__(self, service: Any) -> None:
        self._catalog = Catalog(service)

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Show it."""
        resp.media = {
            "catalog": self._catalog.render(req),
            "links": {
                "self": self._catalog.root(req) + "/v3/auth/catalog",
                "previous": None,
                "next": None,
            },
        }
