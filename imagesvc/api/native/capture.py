"""Images made from servers."""

import datetime
from typing import Annotated, Literal

import falcon
import msgspec

from imagesvc.api import validate
from imagesvc.api.native import idempotency, views
from imagesvc.domain import capture as captured
from imagesvc.manager import capture as captures

Text = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]


class NewCapture(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Body of a capture: one disk, several (an image each), or the whole server as one image.

    Without `disk_id`, `disk_ids` and `whole` the system disk is taken. `quiesce` freezes the
    guest's file systems at the instant of the copy, if it answers.
    """

    server_id: Text
    name: Text
    disk_id: Text | None = None
    disk_ids: Annotated[tuple[Text, ...], msgspec.Meta(max_length=64)] = ()
    whole: bool = False
    quiesce: bool = False
    compute_id: Text | None = None
    visibility: Literal["private", "shared", "community", "public"] = "private"
    description: Annotated[str, msgspec.Meta(max_length=65_535)] | None = None
    tags: Annotated[tuple[Text, ...], msgspec.Meta(max_length=128)] = ()
    properties: dict[Text, str] = {}


class CapturesResource:
    """Making images from a server's disks."""

    def __init__(self, manager: captures.CaptureManager) -> None:
        self._captures = manager

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Start the job; the images are `importing` until it ends."""
        body = validate.body(req, NewCapture)
        described = {"description": body.description} if body.description is not None else {}
        _image, job = self._captures.start(
            req.context.caller,
            server_id=body.server_id,
            name=body.name,
            compute_id=body.compute_id,
            disk_id=body.disk_id,
            disk_ids=body.disk_ids,
            whole=body.whole,
            quiesce=body.quiesce,
            visibility=body.visibility,
            properties=body.properties | described,
            tags=body.tags,
            idempotency_key=idempotency.key(req),
        )
        resp.status = falcon.HTTP_202
        resp.media = {
            "image_id": job.image_id,
            "image_ids": list(captured.image_ids(job)),
            "job": views.job(job, datetime.datetime.now(datetime.UTC)),
        }
