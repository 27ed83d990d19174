"""The parts of a resumable upload become one object, by the one pipe."""

from imagesvc.crashpoint import crashpoint
from imagesvc.db import upload_part
from imagesvc.stream import joined, pipe
from imagesvc.stream.unpacked import UnpackedReader
from imagesvc.worker import intake, landing
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
        found = intake.found(ctx, result, (store_id, key))
        facts = {**intake.facts(result), **found}
        intake.keep(ctx, (store_id, key), store_id=store_id, key=key, **facts)
        crashpoint("step.join.done")
        return None

    def undo(self, ctx: StepContext) -> Wait | None:
        """Give the object to the reaper, unless it is the image's by now; parts go with the job."""
        made = {ctx.memo["store_id"]: ctx.memo["key"]} if "key" in ctx.memo else {}
        intake.withdraw(ctx, made)
        return None


def _write(ctx: StepContext, store_id: str, key: str) -> pipe.PipeResult:
    image = intake.image_of(ctx)
    expected = dict([digest] if (digest := ctx.job.args.get("digest")) else [])
    size: int | None = ctx.job.args["size_bytes"]
    with joined.JoinedReader(_pieces(ctx)) as source:
        unpacking = landing.unpacks(ctx, image)
        # What the pipe hashes anyway is not hashed twice, unless it hashes other bytes.
        apart = expected.keys() - (frozenset() if unpacking else ctx.service.rules.algorithms)
        came = landing.Hashed(source, apart)
        reader = landing.unpacked(ctx, came) if unpacking else came
        packed = isinstance(reader, UnpackedReader) and reader.packed
        return landing.land(
            ctx,
            reader,
            (store_id, key),
            image,
            None if packed else size,
            landing.digest_check(expected, came),
            reserved=not packed,
        )


def _pieces(ctx: StepContext) -> list[joined.Piece]:
    with ctx.service.database.read() as conn:
        parts = upload_part.list_for(conn, ctx.job.args["upload_id"])
    storage = ctx.service.backends.storage
    return [
        (part.size_bytes, joined.opener(storage(part.store_id), part.storage_key)) for part in parts
    ]
