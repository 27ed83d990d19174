"""Tags of images."""

from typing import Any

import falcon


class TagResource:
    """One tag (Glance v2, "Image tags")."""

    def __init__(self, tags: Any) -> None:
        self._tags = tags

    def on_put(self, req: falcon.Request, resp: falcon.Response, image_id: str, tag: str) -> None:
        """Add it; repeated is fine."""
        self._tags.add(req.context.caller, image_id, tag)
        resp.status = falcon.HTTP_204

    def on_delete(
        self, req: falcon.Request, resp: falcon.Response, image_id: str, tag: str
    ) -> None:
        """Remove it."""
        self._tags.remove(req.context.caller, image_id, tag)
        resp.status = falcon.HTTP_204
