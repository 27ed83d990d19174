"""Images that come from other regions; asked for by their services alone."""

from typing import Annotated, Any

import falcon
import msgspec

from imagesvc.api import validate
from imagesvc.api.native import query
from imagesvc.api.native.answer import Answer
from imagesvc.domain import region_image as domain
from imagesvc.domain.image import BYTES_MAX, INTEGER_MAX, ImageDisk, ImageKind, NewImage, Visibility
from imagesvc.domain.state import ImageStatus
from imagesvc.manager import region_image as region_images

Word = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
Number = Annotated[int, msgspec.Meta(ge=0, le=INTEGER_MAX)]
ByteCount = Annotated[int, msgspec.Meta(ge=0, le=BYTES_MAX)]


class NewDisk(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A disk that is to come."""

    index: Annotated[int, msgspec.Meta(ge=0, lt=domain.DISKS_MAX)]
    role: Annotated[str, msgspec.Meta(pattern="^(system|data)$")]
    disk_format: Word
    size_bytes: ByteCount
    hash_algorithm: Annotated[str, msgspec.Meta(pattern="^sha(256|512)$")]
    hash_value: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}([0-9a-f]{64})?$")]


class NewRegionImage(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Body of an image that is to come, as the other region has it."""

    source_image_id: Word
    name: Annotated[str, msgspec.Meta(max_length=255)] | None
    kind: ImageKind
    disk_format: Word
    container_format: Word
    disks: Annotated[tuple[NewDisk, ...], msgspec.Meta(min_length=1, max_length=domain.DISKS_MAX)]
    min_disk_gib: Number = 0
    min_ram_mib: Number = 0
    tags: tuple[str, ...] = ()
    properties: dict[str, str] = {}
    image_id: Word | None = None
    key_id: Word | None = None


class ComingDisk(Answer):
    """A disk on its way: how many bytes are safe, and what it is once the image is active."""

    index: int
    role: str
    disk_format: str
    size_bytes: int
    upload_id: str
    offset_bytes: int
    stored_bytes: int | None
    hash_algorithm: str | None
    hash_value: str | None


class RegionImage(Answer):
    """An image that comes from another region. `has_namesake`: the project has another image of
    the same name."""

    image_id: str
    project_id: str
    status: ImageStatus
    cause: str | None
    has_namesake: bool
    job_id: str | None
    disks: list[ComingDisk]


class OneRegionImage(Answer):
    """One image that comes from another region."""

    region_image: RegionImage


def render(found: region_images.Arrival) -> dict[str, Any]:
    """One image and how far it is."""
    offsets = {one.disk_index: one.offset_bytes for one in found.uploads}
    stored = {disk.index: disk for disk in found.disks}
    return {
        "image_id": found.image.id,
        "project_id": found.coming.project_id,
        "status": str(found.image.status),
        "cause": found.image.cause,
        "has_namesake": found.has_namesake,
        "job_id": found.coming.job_id,
        "disks": [
            {
                "index": disk.index,
                "upload_id": disk.upload_id,
                "size_bytes": disk.size_bytes,
                "offset_bytes": offsets.get(disk.index, disk.size_bytes),
                **_stored(disk, stored.get(disk.index)),
            }
            for disk in found.coming.disks
        ],
    }


def _stored(wanted: domain.RegionDisk, disk: ImageDisk | None) -> dict[str, Any]:
    if disk is None:
        return {
            "role": wanted.role, "disk_format": wanted.disk_format, "stored_bytes": None,
            "hash_algorithm": None, "hash_value": None,
        }  # fmt: skip
    # The digest that was given was held against the bytes; this region may keep one of another kind.
    alike = disk.hash_algorithm == wanted.hash_algorithm
    return {
        "role": disk.role,
        "disk_format": disk.disk_format,
        "stored_bytes": disk.size_bytes,
        "hash_algorithm": wanted.hash_algorithm,
        "hash_value": disk.hash_value if alike else wanted.hash_value,
    }


class RegionImageResource:
    """One image that comes from another region, under the name that the region gave it."""

    serves_regions = True

    def __init__(self, manager: region_images.RegionImageManager) -> None:
        self._images = manager

    def on_get(self, req: falcon.Request, resp: falcon.Response, request_token: str) -> None:
        """Say how far it is."""
        query.known(req, set())
        found = self._images.get(req.context.caller, request_token)
        resp.media = {"region_image": render(found)}

    def on_put(self, req: falcon.Request, resp: falcon.Response, request_token: str) -> None:
        """Begin it, or find it as it was begun under the same name."""
        query.known(req, set())
        body = validate.body(req, NewRegionImage)
        found = self._images.create(req.context.caller, _wanted(request_token, body))
        resp.media = {"region_image": render(found)}

    def on_delete(self, req: falcon.Request, resp: falcon.Response, request_token: str) -> None:
        """Take it back, finished or not."""
        query.known(req, set())
        self._images.delete(req.context.caller, request_token)
        resp.status = falcon.HTTP_204


def _wanted(request_token: str, body: NewRegionImage) -> domain.NewRegionImage:
    image = NewImage(
        id=body.image_id,
        name=body.name,
        visibility=Visibility.PRIVATE,
        disk_format=body.disk_format,
        container_format=body.container_format,
        min_disk_gib=body.min_disk_gib,
        min_ram_mib=body.min_ram_mib,
        kind=body.kind,
        tags=body.tags,
        properties=body.properties,
    )
    disks = tuple(domain.RegionDisk(**msgspec.structs.asdict(disk)) for disk in body.disks)
    return domain.NewRegionImage(
        request_token=request_token,
        source_image_id=body.source_image_id,
        image=image,
        disks=disks,
        key_id=body.key_id,
    )
