"""An image as it is kept, its promise, its end. Everything else of it is read in the Glance dialect."""

from typing import Annotated

import falcon
import msgspec

from imagesvc.api import validate
from imagesvc.api.native import image_view, query
from imagesvc.domain.image_property import Change
from imagesvc.manager import image, image_delete, image_detail

Value = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
Reason = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]


class NewPromise(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """Body of a promise: what it leaves out stays, null takes away. `provided_until` is a date, a
    time, `none` or `notice`; to shorten it needs `break_promise`, which says why."""

    provided_until: Value | msgspec.UnsetType | None = msgspec.UNSET
    replace_frequency: Value | msgspec.UnsetType | None = msgspec.UNSET
    uuid_validity: Value | msgspec.UnsetType | None = msgspec.UNSET
    break_promise: Reason | None = None


class ImageResource:
    """One image with its disks and their copies."""

    def __init__(
        self,
        details: image_detail.ImageDetailManager,
        deletions: image_delete.DeletionManager,
    ) -> None:
        self._details = details
        self._deletions = deletions

    def on_get(self, req: falcon.Request, resp: falcon.Response, image_id: str) -> None:
        """Show it."""
        found = self._details.get(req.context.caller, image_id)
        resp.media = {"image": image_view.image(found)}

    def on_delete(self, req: falcon.Request, resp: falcon.Response, image_id: str) -> None:
        """Delete it; `break_promise` says why although it is promised."""
        query.known(req, {"break_promise"})
        broken = query.text(req, "break_promise") or ""
        self._deletions.delete(req.context.caller, image_id, broken=broken)
        resp.status = falcon.HTTP_204


class ImagePromiseResource:
    """Until when an image is provided."""

    def __init__(
        self, images: image.ImageManager, details: image_detail.ImageDetailManager
    ) -> None:
        self._images = images
        self._details = details

    def on_patch(self, req: falcon.Request, resp: falcon.Response, image_id: str) -> None:
        """Promise, or promise for longer; with a reason, break it."""
        query.known(req, set())
        body = msgspec.structs.asdict(validate.body(req, NewPromise))
        broken = body.pop("break_promise") or ""
        changes = tuple(
            Change("remove", ("properties", name), lenient=True)
            if value is None
            else Change("add", ("properties", name), value)
            for name, value in body.items()
            if value is not msgspec.UNSET
        )
        caller = req.context.caller
        self._images.patch(caller, image_id, changes, broken=broken)
        resp.media = {"image": image_view.image(self._details.get(caller, image_id))}
