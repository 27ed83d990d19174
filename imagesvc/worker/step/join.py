"""The parts of a resumable upload become one object, by the one pipe."""

from imagesvc.crashpoint import crashpoint
from imagesvc.stream import pipe
from imagesvc.worker import intake, landing, origin
from imagesvc.worker.flow import Step, StepContext, Wait


class Join(Step):
    """Write all parts to a fresh key, judged as any upload; memo: store_id, key, facts."""

    name = "join"

    def run(self, ctx: StepContext) -> Wait | None:
        """Join; a second run begins anew. Raises UnsupportedImage, ImageGone, InvalidRequest."""
        if "hash_value" in ctx.memo:
            return None
        store_id = ctx.job.args["stores"][0]
        key = intake.announce(ctx, store_id)
        crashpoint("step.join.begin")
        result = _write(ctx, store_id, key)
        crashpoint("step.join.committed")
        intake.keep_disk(ctx, (store_id, key), result)
        crashpoint("step.join.done")
        return None

    def undo(self, ctx: StepContext) -> Wait | None:
        """Give the object to the reaper, unless it is the image's by now; parts go with the job."""
        intake.withdraw_disk(ctx)
        return None


def _write(ctx: StepContext, store_id: str, key: str) -> pipe.PipeResult:
    image = intake.image_of(ctx)
    expected = dict([digest] if (digest := ctx.job.args.get("digest")) else [])
    size: int | None = ctx.job.args["size_bytes"]
    with origin.open_parts(ctx) as source:
        unpacking = landing.unpacks(ctx, image)
        came, reader, packed = landing.hashed(ctx, source, expected, unpacking=unpacking)
        return landing.land(
            ctx,
            reader,
            (store_id, key),
            image,
            None if packed else size,
            landing.digest_check(expected, came),
            reserved=not packed,
        )
