"""Images made of other images."""

import datetime
from typing import Annotated

import falcon
import msgspec

from imagesvc.api import validate
from imagesvc.api.native import family, idempotency, query, views
from imagesvc.manager import copy as copies

Text = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]


class NewCopy(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Body of a copy. Without `description` it has its source's, without `store` it goes to the
    default one. With `key_id`, a key of the KMS or `default`, it is encrypted under a data key of its
    own, without it is plain, whatever its source is."""

    name: Text
    description: Annotated[str, msgspec.Meta(max_length=65_535)] | None = None
    store: Text | None = None
    key_id: Text | None = None


class CopyResource:
    """Making an image of another one."""

    def __init__(self, manager: copies.CopyManager, find: family.Find) -> None:
        self._copies = manager
        self._find = find

    def on_post(self, req: falcon.Request, resp: falcon.Response, image_id: str) -> None:
        """Start the job; the image is `importing` until it ends. A copy of a deprecated image is none."""
        query.known(req, set())
        body = validate.body(req, NewCopy)
        job = self._copies.start(
            req.context.caller,
            family.image_id(self._find, req, resp, image_id),
            copies.NewCopy(body.name, body.description, body.store, body.key_id),
            idempotency_key=idempotency.key(req),
        )
        resp.status = falcon.HTTP_202
        resp.media = {
            "image_id": job.image_id,
            "job": views.job(job, datetime.datetime.now(datetime.UTC)),
        }
