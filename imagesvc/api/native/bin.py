"""The bin: deleted images that can come back."""

import datetime

import falcon

from imagesvc.api.native import bin_view, query, views
from imagesvc.manager import bin as bins


class BinResource:
    """All of them."""

    def __init__(self, manager: bins.BinManager) -> None:
        self._bins = manager

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """List by id: the caller's project's, for administrators all."""
        page = query.page(req, set())
        found = self._bins.list(req.context.caller, page.marker, page.limit)
        resp.media = query.answer("images", found, page, bin_view.image, lambda one: one.image.id)


class BinnedImageResource:
    """One of them."""

    def __init__(self, manager: bins.BinManager) -> None:
        self._bins = manager

    def on_get(self, req: falcon.Request, resp: falcon.Response, image_id: str) -> None:
        """Show it."""
        query.known(req, set())
        resp.media = {"image": bin_view.image(self._bins.get(req.context.caller, image_id))}


class BinUndoResource:
    """Taking one back."""

    def __init__(self, manager: bins.BinManager) -> None:
        self._bins = manager

    def on_post(self, req: falcon.Request, resp: falcon.Response, image_id: str) -> None:
        """It is as it was, under its id."""
        query.known(req, set())
        image, newest = self._bins.undo(req.context.caller, image_id)
        resp.media = {"image": bin_view.restored(image, newest)}


class BinPurgeResource:
    """Removing one for good."""

    def __init__(self, manager: bins.BinManager) -> None:
        self._bins = manager

    def on_post(self, req: falcon.Request, resp: falcon.Response, image_id: str) -> None:
        """Start the job."""
        query.known(req, set())
        job = self._bins.purge(req.context.caller, image_id)
        resp.status = falcon.HTTP_202
        resp.media = {"job": views.job(job, datetime.datetime.now(datetime.UTC))}
