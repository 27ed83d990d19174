"""What a project may have, and what it has."""

from typing import Annotated

import falcon
import msgspec

from imagesvc.api import validate
from imagesvc.api.native import query, views
from imagesvc.domain.quota import Resource
from imagesvc.manager import quota as quotas

# -1 is no limit, null the installation's default.
Limit = Annotated[int, msgspec.Meta(ge=-1, le=2**63 - 1)] | None


class NewLimits(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Body of a change; limits that are left out stay."""

    images: Limit | msgspec.UnsetType = msgspec.UNSET
    stored_bytes: Limit | msgspec.UnsetType = msgspec.UNSET
    uploads: Limit | msgspec.UnsetType = msgspec.UNSET


class QuotaResource:
    """Limits and use of one project."""

    def __init__(self, manager: quotas.QuotaManager) -> None:
        self._quotas = manager

    def on_get(self, req: falcon.Request, resp: falcon.Response, project_id: str) -> None:
        """Show every resource; a project's readers, administrators."""
        query.known(req, set())
        found = self._quotas.show(req.context.caller, project_id)
        resp.media = {"quota": views.quota(project_id, found)}

    def on_put(self, req: falcon.Request, resp: falcon.Response, project_id: str) -> None:
        """Set limits; administrators."""
        query.known(req, set())
        body = validate.body(req, NewLimits)
        limits = {
            resource: value
            for resource in Resource
            if (value := getattr(body, resource)) is not msgspec.UNSET
        }
        found = self._quotas.set_limits(req.context.caller, project_id, limits)
        resp.media = {"quota": views.quota(project_id, found)}
