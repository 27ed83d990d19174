"""Locations: where the bytes of an image are kept."""

from typing import Any

import falcon

from imagesvc.api.glance import location_view
from imagesvc.backend.store import Stores


class ImageLocationsResource:
    """The places of an image's bytes, for services and administrators (Glance v2, "Locations")."""

    def __init__(self, locations: Any, stores: Stores) -> None:
        self._locations = locations
        self._stores = stores

    def on_get(self, req: falcon.Request, resp: falcon.Response, image_id: str) -> None:
        """List them in the order in which they came."""
        found = self._locations.list(req.context.caller, image_id)
        resp.media = [location_view.render(place, self._stores) for place in found]
