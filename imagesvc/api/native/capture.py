"""Images made from servers, volumes, bare-metal nodes and backups."""

import datetime
from collections.abc import Callable
from typing import Annotated, Any, Literal

import falcon
import msgspec

from imagesvc import errors
from imagesvc.api import validate
from imagesvc.api.native import idempotency, views
from imagesvc.domain import capture as captured
from imagesvc.domain.job import Job
from imagesvc.manager import backup_capture as backup_captures
from imagesvc.manager import capture as captures
from imagesvc.manager import disk_capture as disk_captures

_OF_SERVERS = ("disk_id", "disk_ids", "whole", "quiesce", "compute_id")
# What does not go with each source.
_FOREIGN: dict[str, tuple[str, ...]] = {
    "server_id": ("kind",),
    "volume_id": _OF_SERVERS,
    "node_id": _OF_SERVERS,
    "backup_id": (*_OF_SERVERS, "kind"),
}
Text = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]


class NewCapture(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Body of a capture, which names one source.

    Of a server: one disk, several (an image each), or `whole` as one image; without any of these
    the system disk. `quiesce` freezes the guest's file systems at the instant of the copy, if it
    answers. An image of a volume is a data disk, one of a node a system disk, unless `kind` says
    otherwise; one of a backup is of the whole machine. With `key_id`, a key of the KMS or `default`,
    the images are encrypted.
    """

    name: Text
    server_id: Text | None = None
    volume_id: Text | None = None
    node_id: Text | None = None
    backup_id: Text | None = None
    disk_id: Text | None = None
    disk_ids: Annotated[tuple[Text, ...], msgspec.Meta(max_length=64)] = ()
    whole: bool = False
    quiesce: bool = False
    compute_id: Text | None = None
    kind: Literal["system-disk", "data-disk"] | None = None
    visibility: Literal["private", "shared", "community", "public"] = "private"
    description: Annotated[str, msgspec.Meta(max_length=65_535)] | None = None
    tags: Annotated[tuple[Text, ...], msgspec.Meta(max_length=128)] = ()
    properties: dict[Text, str] = {}
    key_id: Text | None = None


class CapturesResource:
    """Making images from the disks of a server, a volume, a node or a backup."""

    def __init__(
        self,
        manager: captures.CaptureManager,
        disks: disk_captures.DiskCaptureManager,
        backups: backup_captures.BackupCaptureManager,
    ) -> None:
        self._captures = manager
        self._disks = disks
        self._backups = backups

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Start the job; the images are `importing` until it ends."""
        body = validate.body(req, NewCapture)
        described = {"description": body.description} if body.description is not None else {}
        _image, job = _source(body, self._server, self._volume, self._node, self._backup)(
            req.context.caller,
            body,
            name=body.name,
            visibility=body.visibility,
            properties=body.properties | described,
            tags=body.tags,
            key_id=body.key_id,
            idempotency_key=idempotency.key(req),
        )
        resp.status = falcon.HTTP_202
        resp.media = {
            "image_id": job.image_id,
            "image_ids": list(captured.image_ids(job)),
            "job": views.job(job, datetime.datetime.now(datetime.UTC)),
        }

    def _server(self, caller: Any, body: NewCapture, **described: Any) -> tuple[Any, Job]:
        return self._captures.start(
            caller,
            server_id=body.server_id or "",
            compute_id=body.compute_id,
            disk_id=body.disk_id,
            disk_ids=body.disk_ids,
            whole=body.whole,
            quiesce=body.quiesce,
            **described,
        )

    def _volume(self, caller: Any, body: NewCapture, **described: Any) -> tuple[Any, Job]:
        return self._disks.start_volume(caller, body.volume_id or "", kind=body.kind, **described)

    def _node(self, caller: Any, body: NewCapture, **described: Any) -> tuple[Any, Job]:
        return self._disks.start_node(caller, body.node_id or "", kind=body.kind, **described)

    def _backup(self, caller: Any, body: NewCapture, **described: Any) -> tuple[Any, Job]:
        return self._backups.start(caller, body.backup_id or "", **described)


def _source(body: NewCapture, *starts: Callable[..., Any]) -> Callable[..., Any]:
    """What starts a capture of the one source that is named. Raises InvalidRequest."""
    known = dict(zip(("server_id", "volume_id", "node_id", "backup_id"), starts, strict=True))
    given = [name for name in known if getattr(body, name) is not None]
    if len(given) != 1:
        raise errors.InvalidRequest(f"Name one source: {', '.join(known)}.")
    for name in _FOREIGN[given[0]]:
        if getattr(body, name):
            raise errors.InvalidRequest(f"{name} does not go with {given[0]}.")
    return known[given[0]]
