"""The other regions, and copies of images into them."""

import datetime
from typing import Annotated

import falcon
import msgspec

from imagesvc.api import validate
from imagesvc.api.native import family, idempotency, query, views
from imagesvc.api.native.answer import Answer
from imagesvc.domain import region_copy as domain
from imagesvc.manager import region, region_copy

Word = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
# A word that also fits into a header.
HeaderWord = Annotated[
    str, msgspec.Meta(min_length=1, max_length=255, pattern="^[^\\x00-\\x1f\\x7f]+$")
]


class Region(Answer):
    """Another region; images are copied to it by its id or its name."""

    id: str
    name: str
    endpoint: str


class RegionList(Answer):
    """The other regions, and the name of this one."""

    region: str
    regions: list[Region]


class NewRegionCopy(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Body of a copy into another region; `project` is the id or name of a project there."""

    region: Word
    project: HeaderWord
    name: Annotated[str, msgspec.Meta(max_length=255)] | None = None
    description: Annotated[str, msgspec.Meta(max_length=4096)] | None = None
    target_image_id: Word | None = None
    key_id: Word | None = None


class RegionsResource:
    """The other regions."""

    def __init__(self, manager: region.RegionManager) -> None:
        self._regions = manager

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """List them in the order of the configuration."""
        query.known(req, set())
        found = self._regions.list(req.context.caller)
        resp.media = {
            "region": self._regions.here,
            "regions": [
                {"id": one.id, "name": one.name, "endpoint": one.endpoint} for one in found
            ],
        }


class RegionCopiesResource:
    """Copying an image into another region."""

    def __init__(self, manager: region_copy.RegionCopyManager, find: family.Find) -> None:
        self._copies = manager
        self._find = find

    def on_post(self, req: falcon.Request, resp: falcon.Response, image_id: str) -> None:
        """Start the job."""
        query.known(req, set())
        body = validate.body(req, NewRegionCopy)
        source_id = family.image_id(self._find, req, resp, image_id)
        request = domain.RegionCopyRequest(image_id=source_id, **msgspec.structs.asdict(body))
        job = self._copies.start(
            req.context.caller, request, idempotency_key=idempotency.key(req)
        )  # fmt: skip
        resp.status = falcon.HTTP_202
        resp.media = {"job": views.job(job, datetime.datetime.now(datetime.UTC))}
