"""What uses an image."""

import dataclasses

import falcon

from imagesvc.api.native import query
from imagesvc.manager import image_impact


class ImageImpactResource:
    """What would be touched if something were done to one image."""

    def __init__(self, manager: image_impact.ImpactManager) -> None:
        self._impact = manager

    def on_get(self, req: falcon.Request, resp: falcon.Response, image_id: str) -> None:
        """List it."""
        query.known(req, set())
        found = self._impact.impact(req.context.caller, image_id)
        resp.media = {
            "impact": {
                "image_id": found.image_id,
                "members": [{"project_id": one, "status": status} for one, status in found.members],
                "uses": [dataclasses.asdict(one) for one in found.uses],
                "unknown": list(found.unknown),
            }
        }
