"""Objects of metadata definitions."""

from typing import Any

import falcon

from imagesvc.api import media, page
from imagesvc.api.glance import metadef_body, metadef_query, metadef_view


class MetadefObjectsResource:
    """The objects of a namespace (Glance v2, "Metadata definition objects")."""

    body_bytes_max = media.BODY_BYTES_MAX

    def __init__(self, objects: Any) -> None:
        self._objects = objects

    def on_get(self, req: falcon.Request, resp: falcon.Response, namespace: str) -> None:
        """List all."""
        metadef_query.check_objects(page.parameters(req))
        found = self._objects.list(req.context.caller, namespace)
        resp.media = {
            "objects": [metadef_view.object_(namespace, one) for one in found],
            "schema": "v2/schemas/metadefs/objects",
        }

    def on_post(self, req: falcon.Request, resp: falcon.Response, namespace: str) -> None:
        """Add one."""
        new = metadef_body.object_(media.load(req))
        resp.media = metadef_view.object_(
            namespace, self._objects.create(req.context.caller, namespace, new)
        )
        resp.status = falcon.HTTP_201

    def on_delete(self, req: falcon.Request, resp: falcon.Response, namespace: str) -> None:
        """Delete all."""
        self._objects.clear(req.context.caller, namespace)
        resp.status = falcon.HTTP_204


class MetadefObjectResource:
    """One object."""

    body_bytes_max = media.BODY_BYTES_MAX

    def __init__(self, objects: Any) -> None:
        self._objects = objects

    def on_get(self, req: falcon.Request, resp: falcon.Response, namespace: str, name: str) -> None:
        """Show it."""
        found = self._objects.get(req.context.caller, namespace, name)
        resp.media = metadef_view.object_(namespace, found)

    def on_put(self, req: falcon.Request, resp: falcon.Response, namespace: str, name: str) -> None:
        """Replace it."""
        new = metadef_body.object_(media.load(req))
        resp.media = metadef_view.object_(
            namespace, self._objects.replace(req.context.caller, namespace, name, new)
        )

    def on_delete(
        self, req: falcon.Request, resp: falcon.Response, namespace: str, name: str
    ) -> None:
        """Delete it."""
        self._objects.delete(req.context.caller, namespace, name)
        resp.status = falcon.HTTP_204
