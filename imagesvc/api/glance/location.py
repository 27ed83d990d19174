"""Locations: where the bytes of an image are kept."""

from typing import Annotated, Any

import falcon
import msgspec

from imagesvc.api import media, pace, validate
from imagesvc.api.glance import location_view
from imagesvc.backend.store import Stores
from imagesvc.domain import image_import
from imagesvc.domain.image_import import ImportRequest, Method


class ValidationBody(msgspec.Struct):
    """The digest that the bytes must have: both or neither."""

    os_hash_algo: str | None = None
    os_hash_value: str | None = None


class LocationBody(msgspec.Struct):
    """Body of a location that is added."""

    url: Annotated[str, msgspec.Meta(min_length=1, max_length=8192)]
    validation_data: ValidationBody | None = None


class ImageLocationsResource:
    """The places of an image's bytes (Glance v2, "Locations")."""

    body_bytes_max = media.BODY_BYTES_MAX

    def __init__(self, locations: Any, imports: Any, links: Any, stores: Stores) -> None:
        self._locations = locations
        self._imports = imports
        self._links = links
        self._stores = stores

    def on_get(self, req: falcon.Request, resp: falcon.Response, image_id: str) -> None:
        """List them for services and administrators, in the order in which they came."""
        found = self._locations.list(req.context.caller, image_id)
        resp.media = [location_view.render(place, self._stores) for place in found]

    def on_post(self, req: falcon.Request, resp: falcon.Response, image_id: str) -> None:
        """Hand in the job that fetches the bytes of a URL, or reads them where they stay."""
        body = validate.body(req, LocationBody)
        given = body.validation_data or ValidationBody()
        digest = image_import.check_digest(given.os_hash_algo, given.os_hash_value)
        request = ImportRequest(method=Method.WEB_DOWNLOAD, uri=body.url, digest=digest)
        if self._links.takes(body.url):
            with pace.transfer():  # it may wait for a server of the caller's choice
                self._links.link(req.context.caller, image_id, request)
        else:
            self._imports.add_location(req.context.caller, image_id, request)
        resp.status = falcon.HTTP_202
        # glanceclient decodes whatever calls itself JSON, and an empty body is none.
        resp.content_type = "text/html; charset=UTF-8"
