"""Images: list, create, show, patch, delete."""

from collections.abc import Sequence
from typing import Any

import falcon

from imagesvc.api import media, page, patch, validate
from imagesvc.api.glance import image_body, image_filter, image_view
from imagesvc.api.glance.location_patch import LocationPatch
from imagesvc.api.glance.location_view import ShownLocations
from imagesvc.backend.store import Stores
from imagesvc.domain.image import Image

_PATH = "/v2/images"


class ImagesResource:
    """The collection (Glance v2, "Images")."""

    body_bytes_max = media.BODY_BYTES_MAX

    def __init__(
        self,
        images: Any,
        stores: Stores,
        locations: ShownLocations,
        methods: tuple[str, ...] = (),
    ) -> None:
        self._images = images
        self._stores = stores
        self._locations = locations
        self._methods = methods

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """List a page."""
        pairs = page.parameters(req)
        found = self._images.list(req.context.caller, image_filter.parse(pairs))
        body = {
            "images": _render(found.images, self._stores, self._locations),
            "first": page.first_link(_PATH, pairs),
            "schema": "/v2/schemas/images",
        }
        if found.full and found.images:
            body["next"] = page.next_link(_PATH, pairs, found.images[-1].id)
        resp.media = body

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Create a record, without bytes."""
        new = image_body.new_image(validate.json_object(req))
        image = self._images.create(req.context.caller, new)
        resp.status = falcon.HTTP_201
        resp.location = req.prefix + image_view.path(image.id)
        if self._methods:
            resp.set_header("OpenStack-image-import-methods", ",".join(self._methods))
        if self._stores.several:
            resp.set_header("OpenStack-image-store-ids", ",".join(self._stores.ids))
        (resp.media,) = _render((image,), self._stores, self._locations)


class ImageResource:
    """One image."""

    body_bytes_max = media.BODY_BYTES_MAX

    def __init__(
        self,
        images: Any,
        deletions: Any,
        stores: Stores,
        locations: ShownLocations,
        places: LocationPatch,
    ) -> None:
        self._images = images
        self._deletions = deletions
        self._stores = stores
        self._locations = locations
        self._places = places

    def on_get(self, req: falcon.Request, resp: falcon.Response, image_id: str) -> None:
        """Show it."""
        resp.media = self._render(self._images.get(req.context.caller, image_id))

    def on_patch(self, req: falcon.Request, resp: falcon.Response, image_id: str) -> None:
        """Change all that the patch names, or nothing."""
        changes = patch.load(req)
        caller = req.context.caller
        if self._places.apply(caller, image_id, changes):
            resp.media = self._render(self._images.get(caller, image_id))
            return
        translated = tuple(image_body.translate(change) for change in changes)
        resp.media = self._render(self._images.patch(caller, image_id, translated))

    def on_delete(self, req: falcon.Request, resp: falcon.Response, image_id: str) -> None:
        """Delete record and bytes."""
        self._deletions.delete(req.context.caller, image_id)
        resp.status = falcon.HTTP_204

    def _render(self, image: Image) -> dict[str, Any]:
        (found,) = _render((image,), self._stores, self._locations)
        return found


def _render(
    images: Sequence[Image], stores: Stores, locations: ShownLocations
) -> list[dict[str, Any]]:
    places = locations.members(images)
    return [image_view.render(image, stores) | places.get(image.id, {}) for image in images]
