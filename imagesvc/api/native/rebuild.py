"""Servers that get a new system disk."""

import datetime
from typing import Annotated

import falcon
import msgspec

from imagesvc.api import validate
from imagesvc.api.native import family, idempotency, views
from imagesvc.manager import rebuild as rebuilds

Id = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]


class NewRebuild(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Body of a rebuild of one or many servers."""

    server_ids: Annotated[tuple[Id, ...], msgspec.Meta(min_length=1, max_length=1000)]
    image_id: Id
    compute_id: Id | None = None


class RebuildsResource:
    """Rebuilding servers from another image."""

    def __init__(self, manager: rebuilds.RebuildManager, find: family.Find) -> None:
        self._rebuilds = manager
        self._find = find

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Start a job that rebuilds them; data disks, ids and names stay."""
        body = validate.body(req, NewRebuild)
        job = self._rebuilds.start(
            req.context.caller,
            server_ids=body.server_ids,
            image_id=family.image_id(self._find, req, resp, body.image_id),
            compute_id=body.compute_id,
            idempotency_key=idempotency.key(req),
        )
        resp.status = falcon.HTTP_202
        resp.media = {"job": views.job(job, datetime.datetime.now(datetime.UTC))}
