"""Staged bytes are what the image says, and what their digests are."""

from imagesvc.crashpoint import crashpoint
from imagesvc.domain.image import Image
from imagesvc.interface.storage import StorageDriver
from imagesvc.stream import encrypted, gate, pipe
from imagesvc.worker import intake, landing
from imagesvc.worker.flow import Step, StepContext, Wait


class Inspect(Step):
    """Judge the staged object by both gates; memo: store_id, key, facts of the disk."""

    name = "inspect"

    def run(self, ctx: StepContext) -> Wait | None:
        """Read it once. Raises UnsupportedImage, ImageGone, TooLarge."""
        if "hash_value" in ctx.memo:
            return None
        image = intake.image_of(ctx)
        staged = ctx.job.args["staged"]
        store = ctx.service.backends.storage(staged["store_id"])
        crashpoint("step.inspect.begin")
        if landing.unpacks(ctx, image) and _unpack(ctx, store, staged["key"], image):
            return None
        with store.open_read(staged["key"]) as source:
            result = intake.pump(
                ctx,
                source,
                pipe.Nowhere(),
                disk_format=image.disk_format or "",
                container_format=image.container_format,
                total=ctx.job.args["size_bytes"],
            )
        _judge(ctx, store, staged["key"], result)
        found = intake.found(ctx, result, (staged["store_id"], staged["key"]))
        ctx.memo.put(**staged, **intake.facts(result), **found)
        crashpoint("step.inspect.done")
        return None

    def undo(self, ctx: StepContext) -> Wait | None:
        """Give what was unpacked to the reaper; staged bytes stay with their job."""
        made = {ctx.memo["store_id"]: ctx.memo["key"]} if "unpacked" in ctx.memo else {}
        intake.withdraw(ctx, made)
        return None


def _unpack(ctx: StepContext, staged: StorageDriver, key: str, image: Image) -> bool:
    """Write what the staged bytes hold into the first store; False if they are not packed."""
    with staged.open_read(key) as source:
        reader = landing.unpacked(ctx, source)
        if not reader.packed:
            return False
        store_id = ctx.job.args["stores"][0]
        fresh = intake.announce(ctx, store_id)
        result = landing.land(ctx, reader, (store_id, fresh), image, None)
    intake.keep_disk(ctx, (store_id, fresh), result, unpacked=True)
    return True


def _judge(ctx: StepContext, store: StorageDriver, key: str, result: pipe.PipeResult) -> None:
    converter = ctx.service.backends.converter()
    if encrypted.is_local_file(store, key):
        gate.check_file(converter, result.facts, store.path(key))
        return
    gate.check_object(
        converter,
        result.facts,
        lambda offset, length: store.open_read(key, offset=offset, length=length),
        result.size_bytes,
    )
