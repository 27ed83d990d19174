"""Why a project can or cannot see, use or change an image."""

import dataclasses

import falcon

from imagesvc import errors
from imagesvc.api.native import query
from imagesvc.manager import image_explain

ROLES_MAX = 16


class ImageExplainResource:
    """What a project can do with one image, and by which rule."""

    def __init__(self, manager: image_explain.ExplainManager) -> None:
        self._explain = manager

    def on_get(self, req: falcon.Request, resp: falcon.Response, image_id: str) -> None:
        """Explain it for `project`, whose user has `roles`, parted by commas."""
        query.known(req, {"project", "roles"})
        project = req.get_param("project")
        if not project:
            raise errors.InvalidRequest("project must name a project by its id.")
        roles = (req.get_param("roles") or "member").split(",")
        if len(roles) > ROLES_MAX:
            raise errors.InvalidRequest(f"At most {ROLES_MAX} roles can be given.")
        found = self._explain.explain(req.context.caller, image_id, project, roles)
        resp.media = {"explanation": dataclasses.asdict(found)}
