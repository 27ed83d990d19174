"""Stores: what a client may learn about them, and an image taken out of one."""

from typing import Any

import falcon

from imagesvc import errors
from imagesvc.api.glance import store_view


class StoreInfoResource:
    """The stores (Glance v2, "Stores"); clients take 404 for "one store"."""

    def __init__(self, stores: Any) -> None:
        self._stores = stores

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """List them."""
        found = self._stores.list(req.context.caller)
        _require_several(found)
        resp.media = {"stores": [store_view.render(store) for store in found]}


class StoreDetailResource:
    """The stores as their operators see them."""

    def __init__(self, stores: Any) -> None:
        self._stores = stores

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """List them with type, weight and options."""
        details = self._stores.details(req.context.caller)
        found = self._stores.list(req.context.caller)
        _require_several(found)
        resp.media = {
            "stores": [store_view.render_detail(store, details[store.id]) for store in found]
        }


class StoreImageResource:
    """An image in one store."""

    def __init__(self, stores: Any) -> None:
        self._stores = stores

    def on_delete(
        self, req: falcon.Request, resp: falcon.Response, store_id: str, image_id: str
    ) -> None:
        """Remove it from there."""
        self._stores.remove_image(req.context.caller, store_id, image_id)
        resp.status = falcon.HTTP_204


def _require_several(found: Any) -> None:
    if not found.several:
        raise errors.NotFound("This service has one store.")
