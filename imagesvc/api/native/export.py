"""Images written into buckets."""

import datetime
from typing import Annotated, Literal

import falcon
import msgspec

from imagesvc.api import validate
from imagesvc.api.native import family, idempotency, query, views
from imagesvc.domain import export
from imagesvc.manager import export as exports

Text = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
Disk = Annotated[int, msgspec.Meta(ge=0, le=9999)]


class NewExport(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Body of an export. Without `format` the bytes go as they are stored.

    `compression` is of qcow2, `subformat` of vhd. Of an image with several disks and without
    `disk`, `key` is the folder of one object a disk and a manifest.
    """

    image_id: Text
    object_store_id: Text
    bucket: Text
    key: Annotated[str, msgspec.Meta(min_length=1, max_length=1024)]
    disk: Disk | None = None
    format: Literal["raw", "qcow2", "vmdk", "vhd", "vhdx", "vdi"] | None = None
    compression: Literal["zstd", "zlib", "none"] | None = None
    subformat: Literal["dynamic", "fixed"] | None = None
    overwrite: bool = False


class ExportsResource:
    """Writing an image into a bucket."""

    def __init__(self, manager: exports.ExportManager, find: family.Find) -> None:
        self._exports = manager
        self._find = find

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Start the job."""
        query.known(req, set())
        body = validate.body(req, NewExport)
        request = export.ExportRequest(
            image_id=family.image_id(self._find, req, resp, body.image_id),
            object_store_id=body.object_store_id,
            bucket=body.bucket,
            key=body.key,
            disk=body.disk,
            disk_format=body.format,
            variant=export.variant(body.format, body.compression, body.subformat),
            replace=body.overwrite,
        )
        job = self._exports.start(
            req.context.caller, request, idempotency_key=idempotency.key(req)
        )  # fmt: skip
        resp.status = falcon.HTTP_202
        resp.media = {"job": views.job(job, datetime.datetime.now(datetime.UTC))}
