"""Types of resources, and the namespaces of metadata definitions that are meant for them."""

from typing import Any

import falcon

from imagesvc.api import media
from imagesvc.api.glance import metadef_body, metadef_view


class MetadefResourceTypesResource:
    """The types that are known (Glance v2, "Metadata definition resource types")."""

    def __init__(self, resource_types: Any) -> None:
        self._resource_types = resource_types

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """List all."""
        found = self._resource_types.list(req.context.caller)
        resp.media = {"resource_types": [metadef_view.named(one) for one in found]}


class MetadefAssociationsResource:
    """The types that one namespace is meant for."""

    def __init__(self, resource_types: Any) -> None:
        self._resource_types = resource_types

    def on_get(self, req: falcon.Request, resp: falcon.Response, namespace: str) -> None:
        """List all."""
        found = self._resource_types.associations(req.context.caller, namespace)
        resp.media = {
            "resource_type_associations": [metadef_view.association(one) for one in found]
        }

    def on_post(self, req: falcon.Request, resp: falcon.Response, namespace: str) -> None:
        """Add one."""
        new = metadef_body.association(media.load(req))
        made = self._resource_types.associate(req.context.caller, namespace, new)
        resp.media = metadef_view.association(made)
        resp.status = falcon.HTTP_201


class MetadefAssociationResource:
    """One of them."""

    def __init__(self, resource_types: Any) -> None:
        self._resource_types = resource_types

    def on_delete(
        self, req: falcon.Request, resp: falcon.Response, namespace: str, name: str
    ) -> None:
        """End it; the type stays known."""
        self._resource_types.dissociate(req.context.caller, namespace, name)
        resp.status = falcon.HTTP_204
