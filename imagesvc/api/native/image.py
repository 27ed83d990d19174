"""How safe an image is: its copies. Everything else of an image is read in the Glance dialect."""

import falcon

from imagesvc.api.native import image_view
from imagesvc.manager import image_detail


class ImageResource:
    """One image with its disks and their copies."""

    def __init__(self, details: image_detail.ImageDetailManager) -> None:
        self._details = details

    def on_get(self, req: falcon.Request, resp: falcon.Response, image_id: str) -> None:
        """Show it."""
        found = self._details.get(req.context.caller, image_id)
        resp.media = {"image": image_view.image(found)}
