"""Namespaces of metadata definitions."""

from typing import Any

import falcon

from imagesvc.api import media, page
from imagesvc.api.glance import metadef_body, metadef_query, metadef_view
from imagesvc.domain import metadef


class MetadefNamespacesResource:
    """The collection (Glance v2, "Metadata definition namespaces")."""

    body_bytes_max = media.BODY_BYTES_MAX

    def __init__(self, namespaces: Any) -> None:
        self._namespaces = namespaces

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """List a page."""
        pairs = page.parameters(req)
        found = self._namespaces.list(req.context.caller, metadef_query.namespaces(pairs))
        body = {
            "namespaces": [
                metadef_view.namespace(one, metadef.Content(associations=known), lists=True)
                for one, known in found.namespaces
            ],
            "first": page.first_link(metadef_view.NAMESPACES, pairs),
            "schema": "/v2/schemas/metadefs/namespaces",
        }
        if found.full and found.namespaces:
            last, _ = found.namespaces[-1]
            body["next"] = page.next_link(metadef_view.NAMESPACES, pairs, last.name)
        resp.media = body

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Make one, with all that is in it."""
        fields, content = metadef_body.namespace(media.load(req))
        made = self._namespaces.create(req.context.caller, fields, content)
        resp.status = falcon.HTTP_201
        resp.location = req.prefix + metadef_view.path(fields.name)
        resp.media = metadef_view.namespace(*made)


class MetadefNamespaceResource:
    """One namespace."""

    body_bytes_max = media.BODY_BYTES_MAX

    def __init__(self, namespaces: Any) -> None:
        self._namespaces = namespaces

    def on_get(self, req: falcon.Request, resp: falcon.Response, namespace: str) -> None:
        """Show it with all that is in it."""
        resource_type = dict(page.parameters(req)).get("resource_type")
        found = self._namespaces.get(req.context.caller, namespace, resource_type=resource_type)
        resp.media = metadef_view.namespace(*found)

    def on_put(self, req: falcon.Request, resp: falcon.Response, namespace: str) -> None:
        """Replace its plain fields."""
        fields = metadef_body.namespace_fields(media.load(req))
        changed = self._namespaces.replace(req.context.caller, namespace, fields)
        resp.media = metadef_view.namespace(changed, metadef.Content())

    def on_delete(self, req: falcon.Request, resp: falcon.Response, namespace: str) -> None:
        """Delete it with all that is in it."""
        self._namespaces.delete(req.context.caller, namespace)
        resp.status = falcon.HTTP_204
