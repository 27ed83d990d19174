"""Bare-metal nodes."""

import datetime
from typing import Annotated

import falcon
import msgspec

from imagesvc.api import validate
from imagesvc.api.native import family, idempotency, query, views
from imagesvc.manager import baremetal as nodes

Text = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]


class NewDeployment(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Body of a deployment; `disk` is the number of the image's disk."""

    image_id: Text
    disk: Annotated[int, msgspec.Meta(ge=0, le=9999)] = 0


class NodesResource:
    """The nodes that the project may use."""

    def __init__(self, manager: nodes.BaremetalManager) -> None:
        self._nodes = manager

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """List by id."""
        page = query.page(req, set())
        found = self._nodes.list(req.context.caller, marker=page.marker, limit=page.limit)
        resp.media = query.answer("nodes", found, page, views.node, lambda n: n.node_id)


class NodeResource:
    """One node."""

    def __init__(self, manager: nodes.BaremetalManager) -> None:
        self._nodes = manager

    def on_get(self, req: falcon.Request, resp: falcon.Response, node_id: str) -> None:
        """Show it."""
        query.known(req, set())
        resp.media = {"node": views.node(self._nodes.get(req.context.caller, node_id))}


class NodeDeployResource:
    """Writing an image to a node's disk."""

    def __init__(self, manager: nodes.BaremetalManager, find: family.Find) -> None:
        self._nodes = manager
        self._find = find

    def on_post(self, req: falcon.Request, resp: falcon.Response, node_id: str) -> None:
        """Start the job; what was on the disk is lost."""
        body = validate.body(req, NewDeployment)
        job = self._nodes.deploy(
            req.context.caller,
            node_id,
            image_id=family.image_id(self._find, req, resp, body.image_id),
            disk=body.disk,
            idempotency_key=idempotency.key(req),
        )
        resp.status = falcon.HTTP_202
        resp.media = {"job": views.job(job, datetime.datetime.now(datetime.UTC))}


class NodeUndeployResource:
    """Erasing a node's disk."""

    def __init__(self, manager: nodes.BaremetalManager) -> None:
        self._nodes = manager

    def on_post(self, req: falcon.Request, resp: falcon.Response, node_id: str) -> None:
        """Start the job that erases the disk and frees the node."""
        query.known(req, set())
        job = self._nodes.undeploy(
            req.context.caller, node_id, idempotency_key=idempotency.key(req)
        )
        resp.status = falcon.HTTP_202
        resp.media = {"job": views.job(job, datetime.datetime.now(datetime.UTC))}
