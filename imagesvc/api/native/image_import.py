"""Images made from a URL or from an object in a bucket."""

import datetime
from typing import Annotated, Literal

import falcon
import msgspec

from imagesvc.api import validate
from imagesvc.api.native import idempotency, query, views
from imagesvc.domain import image_import, image_origin
from imagesvc.domain.image import NewImage, Visibility
from imagesvc.manager import image_origin as origins

Text = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
Size = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
SourceFormat = Literal[
    "raw", "qcow2", "vmdk", "vhd", "vhdx", "vdi", "qed", "qcow", "iso", "ova"
]  # fmt: skip
TargetFormat = Literal["raw", "qcow2", "vmdk", "vhd", "vhdx", "vdi"]


class UrlSource(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, tag="url"):
    """What is at a URL; a signed URL is kept as a secret."""

    url: Annotated[str, msgspec.Meta(min_length=1, max_length=4096)]


class BucketSource(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, tag="bucket"):
    """An object, read with the key of an object store."""

    object_store_id: Text
    bucket: Text
    key: Annotated[str, msgspec.Meta(min_length=1, max_length=1024)]


class Digest(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What the bytes have to hash to, as they come."""

    algorithm: Literal["md5", "sha1", "sha256", "sha512"]
    value: Annotated[str, msgspec.Meta(pattern="^[0-9a-fA-F]{32,128}$")]


class NewImport(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Body of an import. Without `disk_format` it is found by looking; raw and ova have to be said.

    With `key_id`, a key of the KMS or `default`, the image is encrypted.
    """

    name: Text
    source: UrlSource | BucketSource
    disk_format: SourceFormat | None = None
    container_format: Literal["bare", "ova"] = "bare"
    format_wanted: TargetFormat | None = None
    kind: Literal["system-disk", "data-disk"] = "system-disk"
    digest: Digest | None = None
    size_bytes: Size | None = None
    visibility: Literal["private", "shared", "community", "public"] = "private"
    os_type: Text | None = None
    architecture: Text | None = None
    min_disk_gib: Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)] = 0
    min_ram_mib: Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)] = 0
    description: Annotated[str, msgspec.Meta(max_length=65_535)] | None = None
    tags: Annotated[tuple[Text, ...], msgspec.Meta(max_length=128)] = ()
    properties: dict[Text, str] = {}
    stores: Annotated[tuple[Text, ...], msgspec.Meta(max_length=32)] = ()
    key_id: Text | None = None


class ImportsResource:
    """Making an image from bytes that lie elsewhere."""

    def __init__(self, manager: origins.OriginManager) -> None:
        self._origins = manager

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Start the job; the image is `importing` until it ends."""
        query.known(req, set())
        body = validate.body(req, NewImport)
        _image, job = self._origins.start(
            req.context.caller, _wanted(body), idempotency_key=idempotency.key(req)
        )
        resp.status = falcon.HTTP_202
        resp.media = {
            "image_id": job.image_id,
            "job": views.job(job, datetime.datetime.now(datetime.UTC)),
        }


def _wanted(body: NewImport) -> image_origin.NewImport:
    source = body.source
    digest = body.digest
    new = NewImage(
        name=body.name,
        visibility=Visibility(body.visibility),
        container_format=body.container_format,
        kind=body.kind,
        os_type=body.os_type,
        architecture=body.architecture,
        min_disk_gib=body.min_disk_gib,
        min_ram_mib=body.min_ram_mib,
        description=body.description,
        tags=body.tags,
        properties=dict(body.properties),
        key_id=body.key_id,
    )
    return image_origin.NewImport(
        image=new,
        origin=(
            image_origin.UrlOrigin(source.url)
            if isinstance(source, UrlSource)
            else image_origin.BucketOrigin(source.object_store_id, source.bucket, source.key)
        ),
        source_format=body.disk_format,
        target_format=body.format_wanted,
        digest=image_import.check_digest(digest.algorithm, digest.value) if digest else None,
        size_bytes=body.size_bytes,
        stores=tuple(dict.fromkeys(body.stores)),
    )
