"""The caller's bucket as an export leaves it: whole objects, or nothing of ours."""

import logging

from imagesvc import errors
from imagesvc.db import metadata
from imagesvc.domain.object_store import DIGEST_SUFFIX
from imagesvc.interface.errors import DriverError
from imagesvc.stream import bucket, bucket_fault, bucket_upload
from imagesvc.worker.flow import StepContext, Wait

LOG = logging.getLogger(__name__)
# Kinds of formats that an export takes unless another is asked for: small, and read everywhere.
VARIANTS = {"qcow2": "zstd"}
RETRY_S = 30.0
_REFUSALS = (errors.BucketRefused, errors.NotFound, errors.Forbidden, errors.InvalidRequest,
             errors.Conflict)  # fmt: skip


def open_place(ctx: StepContext, key: str) -> bucket.Bucket:
    """The bucket of the job. Raises what `Buckets.open` does."""
    args = ctx.job.args
    return ctx.service.buckets.open(
        ctx.job.project_id, args["object_store_id"], args["bucket"], key
    )


def mark(ctx: StepContext, what: object) -> str:
    """What an object of this job carries, to be known again."""
    return f"{ctx.job.id}:{what}"


def may_replace(ctx: StepContext, place: bucket.Bucket, key: str, own_mark: str) -> bool:
    """Whether the key may be written over: on request, or what is there is this job's own.

    Raises BucketRefused if somebody else's object is there, or beside it where the digest will be.
    """
    if ctx.job.args["replace"]:
        return True
    found = place.look(key)
    beside = place.look(key + DIGEST_SUFFIX)
    for one, name in ((found, key), (beside, key + DIGEST_SUFFIX)):
        if one is not None and not one.mark.startswith(f"{ctx.job.id}:"):
            raise bucket_fault.refused(place.name, name, 412, b"")
    return found is not None and found.mark == own_mark


def lay(ctx: StepContext, place: bucket.Bucket, key: str, data: bytes) -> None:
    """Write a small object at once, over one of this job's own too. Raises BucketRefused."""
    own_mark = mark(ctx, key)
    replace = ctx.job.args["replace"]
    if not replace:
        found = place.look(key)
        if found is not None and not found.mark.startswith(f"{ctx.job.id}:"):
            raise bucket_fault.refused(place.name, key, 412, b"")
    headers = {bucket.MARK: own_mark, "Content-Type": "text/plain"}
    place.put(key, data, headers)


def note(ctx: StepContext, key: str) -> None:
    """Note which object is written, before its first byte is."""
    ctx.memo.put(writing=key, upload_id="", others=None)


def note_others(ctx: StepContext, place: bucket.Bucket, key: str) -> None:
    """Note the uploads that are begun, right before one is: a kill after it, and before its id is
    kept, leaves one more. Whoever writes without parts leaves none, and others' are others'."""
    try:
        others = sorted(bucket_upload.unfinished(place, key))
    except errors.BucketRefused:  # not every key may list uploads; then the id alone tells
        others = None
    ctx.memo.put(others=others)


def give_up(ctx: StepContext, place: bucket.Bucket) -> None:
    """End the upload of a run before this one, so that its parts are nobody's bill."""
    key = ctx.memo.get("writing")
    if not key:
        return
    ours = frozenset({ctx.memo["upload_id"]}) - {""}
    others = ctx.memo.get("others")
    if not ours and others is not None:
        ours = bucket_upload.unfinished(place, key) - frozenset(others)
    for upload_id in ours:
        bucket_upload.abort(place, key, upload_id)
    ctx.memo.put(writing=None, upload_id="")


def withdraw(ctx: StepContext) -> Wait | None:
    """Leave nothing of this job: parts, objects, digests. One that is refused, or away for longer
    than `retry_s`, is left, and the operator's log says so."""
    begun = ctx.memo.once("withdrawn_at", lambda: metadata.now().timestamp())
    try:
        place = open_place(ctx, ctx.job.args["key"])
        made = [facts["key"] for facts in ctx.memo.get("done", {}).values()]
        for key in (*made, ctx.memo.get("writing"), ctx.memo.get("manifest")):
            if key:
                _remove(ctx, place, key)
        give_up(ctx, place)
    except errors.BucketAway as exc:
        if metadata.now().timestamp() - begun < ctx.service.conf.worker.retry_s:
            return Wait(RETRY_S)
        _leave(ctx, exc.operator_message)
    except (*_REFUSALS, DriverError) as exc:  # a key that was forgotten opens nothing any more
        _leave(ctx, str(exc))
    return None


def _remove(ctx: StepContext, place: bucket.Bucket, key: str) -> None:
    """Take an object and its digest away, if they are this job's."""
    for name in (key + DIGEST_SUFFIX, key):
        found = place.look(name)
        if found is not None and found.mark.startswith(f"{ctx.job.id}:"):
            place.delete(name)


def _leave(ctx: StepContext, cause: str) -> None:
    LOG.error("unfinished export left in a bucket job_id=%s: %s", ctx.job.id, cause)
