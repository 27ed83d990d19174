"""Volumes, and volumes at servers."""

import datetime
from typing import Annotated

import falcon
import msgspec

from imagesvc.api import validate
from imagesvc.api.native import family, idempotency, query, views
from imagesvc.manager import attachment as attachments
from imagesvc.manager import volume as volumes

Text = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]


class NewVolumes(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Body of a creation; without `image_id` they are empty, and `size_gib` is needed.

    `disk` is the number of the image's disk.
    """

    name: Text
    size_gib: Annotated[int, msgspec.Meta(ge=1, le=1_048_576)] | None = None
    image_id: Text | None = None
    disk: Annotated[int, msgspec.Meta(ge=0, le=9999)] = 0
    count: Annotated[int, msgspec.Meta(ge=1)] = 1
    backend_id: Text | None = None


class NewAttachment(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Body of an attachment."""

    volume_id: Text


class VolumesResource:
    """The project's volumes."""

    def __init__(self, manager: volumes.VolumeManager, find: family.Find) -> None:
        self._volumes = manager
        self._find = find

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """List by id."""
        page = query.page(req, {"backend_id"})
        found = self._volumes.list(
            req.context.caller,
            backend_id=query.text(req, "backend_id"),
            marker=page.marker,
            limit=page.limit,
        )
        resp.media = query.answer("volumes", found, page, views.volume, lambda v: v.volume_id)

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Start a job that creates one or many, all or none."""
        body = validate.body(req, NewVolumes)
        image_id = body.image_id
        if image_id is not None:
            image_id = family.image_id(self._find, req, resp, image_id)
        job = self._volumes.create(
            req.context.caller,
            name=body.name,
            size_gib=body.size_gib,
            image_id=image_id,
            disk=body.disk,
            count=body.count,
            backend_id=body.backend_id,
            idempotency_key=idempotency.key(req),
        )
        resp.status = falcon.HTTP_202
        resp.media = {"job": views.job(job, datetime.datetime.now(datetime.UTC))}


class VolumeResource:
    """One volume."""

    def __init__(self, manager: volumes.VolumeManager) -> None:
        self._volumes = manager

    def on_get(self, req: falcon.Request, resp: falcon.Response, volume_id: str) -> None:
        """Show it."""
        query.known(req, set())
        resp.media = {"volume": views.volume(self._volumes.get(req.context.caller, volume_id))}

    def on_delete(self, req: falcon.Request, resp: falcon.Response, volume_id: str) -> None:
        """Remove it; an attached one is refused."""
        query.known(req, set())
        self._volumes.delete(req.context.caller, volume_id)
        resp.status = falcon.HTTP_204


class ServerVolumesResource:
    """The volumes of a server."""

    def __init__(self, manager: attachments.AttachmentManager) -> None:
        self._attachments = manager

    def on_post(self, req: falcon.Request, resp: falcon.Response, server_id: str) -> None:
        """Attach one, to a running server or a stopped one."""
        body = validate.body(req, NewAttachment)
        found = self._attachments.attach(req.context.caller, server_id, body.volume_id)
        resp.media = {"volume": views.volume(found)}


class ServerVolumeResource:
    """One volume of a server."""

    def __init__(self, manager: attachments.AttachmentManager) -> None:
        self._attachments = manager

    def on_delete(
        self, req: falcon.Request, resp: falcon.Response, server_id: str, volume_id: str
    ) -> None:
        """Detach it."""
        query.known(req, set())
        self._attachments.detach(req.context.caller, server_id, volume_id)
        resp.status = falcon.HTTP_204
