"""The bytes of an image into every store that was asked for."""

from typing import Any

from imagesvc import errors
from imagesvc.crashpoint import crashpoint
from imagesvc.db import image_disk
from imagesvc.db import job as job_rows
from imagesvc.domain.image import ImageDisk
from imagesvc.interface.errors import DriverError, IntegrityError
from imagesvc.manager import arrival, disk_reader, image_copy
from imagesvc.worker import failure, intake
from imagesvc.worker.flow import SPARE_ATTEMPTS, Step, StepContext, Wait


class Spread(Step):
    """Copy to one store after the other; memo: made (store -> key), failed (stores), writing.

    Each copy is verified against the digest of the first. Where not all must succeed, each
    becomes the image's as soon as it is there, and a store that fails for good is passed over.
    """

    name = "spread"

    def run(self, ctx: StepContext) -> Wait | None:
        """Go on with the stores that are left. Raises DriverError, ImageGone, ImageDamaged."""
        origin = origin_of(ctx)
        crashpoint("step.spread.begin")
        self._tell(ctx, origin)
        for store_id in ctx.job.args["stores"]:
            if store_id not in (*held(ctx, origin), *ctx.memo.get("failed", ())):
                self._fill(ctx, origin, store_id)
                self._tell(ctx, origin)
        if not held(ctx, origin):
            raise DriverError("No store could take the image.")
        crashpoint("step.spread.done")
        return None

    def undo(self, ctx: StepContext) -> Wait | None:
        """Give the copies to the reaper, unless they are the image's by now."""
        intake.withdraw(ctx, ctx.memo.get("made", {}))
        return None

    def _fill(self, ctx: StepContext, origin: ImageDisk, store_id: str) -> None:
        try:
            key = self._write(ctx, origin, store_id)
        except (DriverError, errors.BackendFailed) as exc:
            # One store is not the job, if the others are enough: the runner cannot know that.
            if ctx.job.args["all_must_succeed"] or _may_come(ctx, exc):
                raise
            ctx.memo.put(failed=[*ctx.memo.get("failed", ()), store_id])
            return
        made = {**ctx.memo.get("made", {}), store_id: key}
        intake.keep(ctx, (store_id, key), made=made)
        crashpoint("step.spread.kept")

    def _write(self, ctx: StepContext, origin: ImageDisk, store_id: str) -> str:
        backends = ctx.service.backends
        store = backends.storage(store_id)
        image = intake.image_of(ctx)
        key = intake.announce(ctx, store_id)
        copies = image_copy.sound(backends, ctx.job.image_id or "", origin)
        size = origin.size_bytes
        with (
            disk_reader.DiskReader(backends, copies, size) as source,
            store.open_write(key, size=size) as writer,
        ):
            result = intake.pump(
                ctx,
                source,
                writer,
                disk_format=origin.disk_format,
                container_format=image.container_format,
                total=size,
            )
            crashpoint("step.spread.written")
            if not _same(intake.disk(intake.facts(result)), origin):
                raise IntegrityError(
                    "The store does not give back what was written.",
                    f"a copy of {copies} differs from the digest of image {ctx.job.image_id}",
                )
            ctx.check()
            writer.commit()
        crashpoint("step.spread.committed")
        return key

    def _tell(self, ctx: StepContext, origin: ImageDisk) -> None:
        """Show how far it is; publish what is there where that is enough."""
        early = {} if ctx.job.args["all_must_succeed"] else held(ctx, origin)
        left = [one for one in ctx.job.args["stores"] if one not in held(ctx, origin)]
        failed = ctx.memo.get("failed", [])
        with ctx.service.database.write() as conn:
            job_rows.fence(conn, ctx.job)
            arrival.mark(conn, ctx.job, [one for one in left if one not in failed], failed)
            if early:
                guests, limits = ctx.service.guests, ctx.service.limits
                arrival.arrive(conn, ctx.service.quotas, ctx.job, origin, early, guests, limits)
        crashpoint("step.spread.told")


def origin_of(ctx: StepContext) -> ImageDisk:
    """The disk that is copied, and where it lies now. Raises ImageGone, InvalidRequest."""
    for name in ("convert", *intake.BROUGHT):
        memo = ctx.results.get(name, {})
        if "hash_value" in memo:
            return intake.stored_disk(memo)
    with ctx.service.database.read() as conn:
        disks = image_disk.list_for(conn, ctx.job.image_id or "")
    if not disks:
        raise errors.ImageGone(image_id=ctx.job.image_id)
    if len(disks) > 1:
        raise errors.InvalidRequest("An image of several disks cannot be copied to a store.")
    return disks[0]


def held(ctx: StepContext, origin: ImageDisk, memo: Any = None) -> dict[str, str]:
    """Which of the wanted stores have the bytes by now: store id -> key."""
    made: dict[str, str] = (ctx.memo if memo is None else memo).get("made", {})
    first = {store: key for store, key in origin.locations if store in ctx.job.args["stores"]}
    return first | made


def _same(copy: ImageDisk, origin: ImageDisk) -> bool:
    if copy.hash_algorithm == origin.hash_algorithm:
        return copy.hash_value == origin.hash_value
    # The operator chose another algorithm since then: MD5 and the length are what is left.
    return (copy.size_bytes, copy.md5) == (origin.size_bytes, origin.md5 or copy.md5)


def _may_come(ctx: StepContext, exc: Exception) -> bool:
    """Whether this store is tried again before the image goes on without it."""
    tries = ctx.job.attempts_max - SPARE_ATTEMPTS
    return failure.of(exc).retryable and ctx.job.attempt < tries
