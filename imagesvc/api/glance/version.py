"""Discovery: which versions of the Image API there are."""

import re
from typing import Any

import falcon

# The minors of a Glance without the image cache, newest first.
CURRENT = "v2.17"
SUPPORTED = (
    "v2.15", "v2.13", "v2.12", "v2.11", "v2.10", "v2.9", "v2.8", "v2.7", "v2.6", "v2.5", "v2.4",
    "v2.3", "v2.2", "v2.1", "v2.0",
)  # fmt: skip
# Those that came with a choice of stores.
_SEVERAL_STORES = frozenset({"v2.8", "v2.10", "v2.11", "v2.12", "v2.13"})

_NAMED = re.compile(r"/(v2\.\d{1,2})(?=/|$)")
_ACCEPT = re.compile(r"application/vnd\.openstack\.images-(v2(?:\.\d{1,2})?)")
_KNOWN = frozenset({"v2", CURRENT, *SUPPORTED})


class VersionedPath:
    """The minor in a path is only a name: /v2.5/images is /v2/images."""

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Rewrite the path before routing."""
        named = _NAMED.match(req.path)
        accepted = _ACCEPT.match(req.get_header("Accept") or "")
        if named and named[1] in _KNOWN:
            req.path = "/v2" + req.path[named.end() :]
        elif accepted and accepted[1] in _KNOWN and not req.path.startswith("/v2"):
            req.path = "/v2" + req.path


class VersionsResource:
    """`GET /versions` (200); `GET /` and unknown first segments (300): one body."""

    anonymous = True

    def __init__(self, service: Any, *, choices: bool) -> None:
        self._root = service.conf.service.public_endpoint
        self._choices = choices
        several = service.backends.stores.several
        self._names = [n for n in (CURRENT, *SUPPORTED) if several or n not in _SEVERAL_STORES]

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """List the versions."""
        root = (self._root or req.prefix).rstrip("/")
        resp.media = {
            "versions": [
                render(name, "CURRENT" if name == CURRENT else "SUPPORTED", root)
                for name in self._names
            ]
        }
        if self._choices:
            resp.status = falcon.HTTP_300
            resp.append_header("Vary", "Accept")


def render(name: str, status: str, root: str) -> dict[str, Any]:
    """One version."""
    return {
        "id": name,
        "status": status,
        "links": [{"rel": "self", "href": f"{root}/v2/"}],
    }
