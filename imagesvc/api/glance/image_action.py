"""Actions on images: deactivate, reactivate."""

from collections.abc import Callable

import falcon

from imagesvc.context import RequestContext


class ImageActionResource:
    """One action on an image."""

    def __init__(self, act: Callable[[RequestContext, str], object]) -> None:
        self._act = act

    def on_post(self, req: falcon.Request, resp: falcon.Response, image_id: str) -> None:
        """Do it; repeated is fine. The body, if any, is not looked at."""
        self._act(req.context.caller, image_id)
        resp.status = falcon.HTTP_204
