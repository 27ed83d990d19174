"""Properties of metadata definitions."""

from typing import Any

import falcon

from imagesvc.api import media, page
from imagesvc.api.glance import metadef_body, metadef_view


class MetadefPropertiesResource:
    """The properties of a namespace (Glance v2, "Metadata definition properties")."""

    def __init__(self, properties: Any) -> None:
        self._properties = properties

    def on_get(self, req: falcon.Request, resp: falcon.Response, namespace: str) -> None:
        """List all by name."""
        found = self._properties.list(req.context.caller, namespace)
        resp.media = {"properties": {one.name: metadef_view.property_(one) for one in found}}

    def on_post(self, req: falcon.Request, resp: falcon.Response, namespace: str) -> None:
        """Add one."""
        new = metadef_body.property_(media.load(req))
        made = self._properties.create(req.context.caller, namespace, new)
        resp.media = metadef_view.property_(made)
        resp.status = falcon.HTTP_201

    def on_delete(self, req: falcon.Request, resp: falcon.Response, namespace: str) -> None:
        """Delete all."""
        self._properties.clear(req.context.caller, namespace)
        resp.status = falcon.HTTP_204


class MetadefPropertyResource:
    """One property."""

    def __init__(self, properties: Any) -> None:
        self._properties = properties

    def on_get(self, req: falcon.Request, resp: falcon.Response, namespace: str, name: str) -> None:
        """Show it, found by the name that it has on a type of resource, if one is given."""
        resource_type = dict(page.parameters(req)).get("resource_type") or None
        resp.media = metadef_view.property_(
            self._properties.get(req.context.caller, namespace, name, resource_type=resource_type)
        )

    def on_put(self, req: falcon.Request, resp: falcon.Response, namespace: str, name: str) -> None:
        """Replace it."""
        new = metadef_body.property_(media.load(req))
        changed = self._properties.replace(req.context.caller, namespace, name, new)
        resp.media = metadef_view.property_(changed)

    def on_delete(
        self, req: falcon.Request, resp: falcon.Response, namespace: str, name: str
    ) -> None:
        """Delete it."""
        self._properties.delete(req.context.caller, namespace, name)
        resp.status = falcon.HTTP_204
