"""create_app: the HTTP door as one WSGI application."""

from typing import Any

import falcon
from falcon import media as falcon_media

from imagesvc.api import error, media, meter, route
from imagesvc.api.middleware import (
    accel,
    access_log,
    agency,
    authenticate,
    body_limit,
    measure,
    path,
    request_id,
    transfer,
)


def create_app(service: Any) -> falcon.App[Any, Any]:
    """Wire middleware, routes, error handlers and media handlers around the managers."""
    guard = authenticate.Authenticate(service.identity)
    counters = meter.Meter()
    middleware: list[Any] = [
        accel.Accel(service.conf.api.accel_locations),
        measure.Measure(counters),
        access_log.AccessLog(),
        request_id.RequestId(),
        path.Path(),
        route.VersionedPath(),
        guard,
        agency.ByAgency(service.region.agencies),
        body_limit.BodyLimit(),
        transfer.Transfer(),
    ]
    app = falcon.App(request_type=media.Request, middleware=middleware)
    handlers = falcon_media.Handlers({falcon.MEDIA_JSON: media.JsonHandler()})
    app.req_options.media_handlers = handlers
    app.resp_options.media_handlers = handlers
    door = error.Door(route.dialect_of, service.identity.challenge)
    app.add_error_handler(Exception, door.handle)
    app.set_error_serializer(door.serialize)
    route.add_routes(app, service, counters)
    app.add_sink(route.Unknown(service, guard).answer, prefix="/")
    return app
