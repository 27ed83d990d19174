"""Tags of metadata definitions."""

from typing import Any

import falcon

from imagesvc import errors
from imagesvc.api import media, page
from imagesvc.api.glance import metadef_body, metadef_query, metadef_view


class MetadefTagsResource:
    """The tags of a namespace (Glance v2, "Metadata definition tags")."""

    body_bytes_max = media.BODY_BYTES_MAX

    def __init__(self, tags: Any) -> None:
        self._tags = tags

    def on_get(self, req: falcon.Request, resp: falcon.Response, namespace: str) -> None:
        """List them, all unless a limit is asked for."""
        query = metadef_query.tags(page.parameters(req))
        found = self._tags.list(req.context.caller, namespace, query)
        resp.media = {"tags": [{"name": one.name} for one in found]}

    def on_post(self, req: falcon.Request, resp: falcon.Response, namespace: str) -> None:
        """Replace all, or add to them with X-Openstack-Append: true."""
        names = metadef_body.tag_names(media.load(req))
        append = (req.get_header("X-Openstack-Append") or "").lower() == "true"
        self._tags.put(req.context.caller, namespace, names, append=append)
        resp.media = {"tags": [{"name": name} for name in names]}
        resp.status = falcon.HTTP_201

    def on_delete(self, req: falcon.Request, resp: falcon.Response, namespace: str) -> None:
        """Delete all."""
        self._tags.clear(req.context.caller, namespace)
        resp.status = falcon.HTTP_204


class MetadefTagResource:
    """One tag."""

    def __init__(self, tags: Any) -> None:
        self._tags = tags

    def on_get(self, req: falcon.Request, resp: falcon.Response, namespace: str, name: str) -> None:
        """Show it."""
        resp.media = metadef_view.named(self._tags.get(req.context.caller, namespace, name))

    def on_post(
        self, req: falcon.Request, resp: falcon.Response, namespace: str, name: str
    ) -> None:
        """Add it; there is no body."""
        if media.body(req).read(1):
            raise errors.InvalidRequest("A tag is made without a body.")
        tag = metadef_body.tag_name(name)
        resp.media = metadef_view.named(self._tags.create(req.context.caller, namespace, tag))
        resp.status = falcon.HTTP_201

    def on_put(self, req: falcon.Request, resp: falcon.Response, namespace: str, name: str) -> None:
        """Rename it."""
        new = metadef_body.tag(media.load(req)).name
        resp.media = metadef_view.named(self._tags.rename(req.context.caller, namespace, name, new))

    def on_delete(
        self, req: falcon.Request, resp: falcon.Response, namespace: str, name: str
    ) -> None:
        """Delete it."""
        self._tags.delete(req.context.caller, namespace, name)
        resp.status = falcon.HTTP_204
