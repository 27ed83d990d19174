"""Joins the route tables of the dialects, and says whose a path is."""

from typing import Any

import falcon

from imagesvc import errors
from imagesvc.api import error, meter
from imagesvc.api.glance import error_body as glance_error
from imagesvc.api.glance import route as glance_route
from imagesvc.api.glance import version
from imagesvc.api.identity import error_body as identity_error
from imagesvc.api.identity import route as identity_route
from imagesvc.api.middleware import authenticate
from imagesvc.api.native import error_body as native_error
from imagesvc.api.native import route as native_route
from imagesvc.interface.identity import IdentityCapability

VersionedPath = version.VersionedPath


class _Native:
    """Our own API's column and body."""

    column = "native"

    def write(self, req: falcon.Request, resp: falcon.Response, failure: error.Failure) -> None:
        """Write the body; the reason is the neutral one, or the code of the row."""
        resp.media = native_error.render(
            code=failure.status,
            reason=failure.reason or failure.row.code,
            message=failure.text,
            request_id=failure.request_id,
            detail=failure.detail,
        )


_GLANCE = glance_error.Dialect()
_NATIVE = _Native()
_DIALECTS: dict[str, error.Dialect] = {
    "v3": identity_error.Dialect(),
    "imagesvc": _NATIVE,
    "healthcheck": _NATIVE,
    "metrics": _NATIVE,
}
# First segments that are ours: an unknown path below them is 404, anywhere else the versions.
_OWN = frozenset({"v2", "v3", "imagesvc", "healthcheck", "console", "metrics"})
_ANONYMOUS = frozenset({"v3", "healthcheck", "console", "metrics"})


def first_segment(path: str) -> str:
    """The first segment of a path."""
    return path[1:].partition("/")[0]


def dialect_of(req: falcon.Request) -> error.Dialect:
    """The dialect that a path speaks, also when routing failed."""
    return _DIALECTS.get(first_segment(req.path), _GLANCE)


def add_routes(app: falcon.App[Any, Any], service: Any, counters: meter.Meter) -> None:
    """Hang every resource at its path; the identity door only where identity can log in."""
    rows = glance_route.table(service)
    if IdentityCapability.LOGIN in service.identity.info().capabilities:
        rows += identity_route.table(service)
    for template, resource in rows:
        app.add_route(template, resource)
    native_route.add_routes(app, service)
    native_route.add_metrics(app, service, counters)


class Unknown:
    """Paths without a route."""

    def __init__(self, service: Any, guard: authenticate.Authenticate) -> None:
        self._versions = version.VersionsResource(service, choices=True)
        self._guard = guard

    def answer(self, req: falcon.Request, resp: falcon.Response, **_: Any) -> None:
        """404 below the paths that are ours (401 first), the list of versions elsewhere."""
        segment = first_segment(req.path)
        if segment not in _OWN:
            self._versions.on_get(req, resp)
            return
        if segment not in _ANONYMOUS:
            self._guard.identify(req)
        raise errors.NotFound("There is nothing at this path.")
