"""Where the bytes come from that an import reads, by the type of its job."""

import contextlib
from collections.abc import Callable, Mapping
from typing import Protocol

from imagesvc import errors
from imagesvc.db import catalog, upload_part
from imagesvc.domain.job import JobType
from imagesvc.stream import bucket, joined
from imagesvc.worker import intake, signed_body
from imagesvc.worker.flow import StepContext


class Body(Protocol):
    """Bytes as they come; `size` is of the whole, None if nobody says."""

    size: int | None

    def read(self, size: int, /) -> bytes: ...


Opened = contextlib.AbstractContextManager[Body]


def open_body(ctx: StepContext) -> Opened:
    """Open them. Raises FetchFailed, BucketAway, BucketRefused, and what the managers raise."""
    return _OPENERS.get(ctx.job.type, _open_url)(ctx)


def _open_url(ctx: StepContext) -> Opened:
    return ctx.service.urls.open(ctx.job.args["uri"])


def _open_sealed_url(ctx: StepContext) -> Opened:
    return ctx.service.urls.open(ctx.service.origins.url_of(ctx.job))


def _open_either(ctx: StepContext) -> Opened:
    return _open_object(ctx) if "bucket" in ctx.job.args else _open_sealed_url(ctx)


def open_parts(ctx: StepContext) -> joined.JoinedReader:
    """The parts of the job's resumable upload, one after the other."""
    return open_upload(ctx, ctx.job.args["upload_id"])


def open_upload(ctx: StepContext, upload_id: str) -> joined.JoinedReader:
    """The parts of a resumable upload, one after the other."""
    with ctx.service.database.read() as conn:
        parts = upload_part.list_for(conn, upload_id)
    storage = ctx.service.backends.storage
    return joined.JoinedReader(
        (part.size_bytes, joined.opener(storage(part.store_id), part.storage_key)) for part in parts
    )


def _open_remote(ctx: StepContext) -> Opened:
    return ctx.service.remotes.open(ctx.job, ctx.results["consult"]["url"])


def _open_object(ctx: StepContext) -> contextlib.AbstractContextManager[bucket.BucketBody]:
    args = ctx.job.args
    place = args["bucket"], args["key"]
    opened = ctx.service.buckets.open(ctx.job.project_id, args["object_store_id"], *place)
    found = opened.look(args["key"])
    if found is None:
        raise errors.BucketRefused(cause=f"there is no object {place[1]} in bucket {place[0]}.")
    return opened.open(args["key"], found)


def _open_foreign(ctx: StepContext) -> Opened:
    return ctx.service.foreign_bytes.open(intake.image_of(ctx))


def _open_release(ctx: StepContext) -> Opened:
    with ctx.service.database.read() as conn:
        release = catalog.coming(conn, ctx.job.image_id or "")
        evidence = catalog.evidence(conn, ctx.job.image_id or "")
    if release is None:
        raise errors.ImageGone(image_id=ctx.job.image_id)
    sync = ctx.service.catalog.sync
    came, judge = sync.open(release), sync.judge(release, evidence)
    return came if judge is None else signed_body.opened(ctx, came, judge)


_OPENERS: Mapping[str, Callable[[StepContext], Opened]] = {
    JobType.CREATE_FROM_URL: _open_sealed_url,
    JobType.CREATE_FROM_BUCKET: _open_object,
    JobType.CREATE_FROM_OVA: _open_either,
    JobType.IMPORT_OVA: open_parts,
    JobType.IMPORT_REMOTE: _open_remote,
    JobType.COPY_FOREIGN: _open_foreign,
    JobType.SYNC_CATALOG: _open_release,
}
