"""Staged bytes are what the image says, and what their digests are."""

from imagesvc.crashpoint import crashpoint
from imagesvc.interface.storage import StorageCapability, StorageDriver
from imagesvc.stream import gate, pipe
from imagesvc.worker import intake
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
        with store.open_read(staged["key"]) as source:
            result = intake.pump(
                ctx,
                source,
                _Nowhere(),
                disk_format=image.disk_format or "",
                container_format=image.container_format,
                total=ctx.job.args["size_bytes"],
            )
        _judge(ctx, store, staged["key"], result)
        ctx.memo.put(**staged, **intake.facts(result))
        crashpoint("step.inspect.done")
        return None


class _Nowhere:
    """Takes bytes that are only to be looked at."""

    def write(self, data: bytes, /) -> None:
        """Forget them."""


def _judge(ctx: StepContext, store: StorageDriver, key: str, result: pipe.PipeResult) -> None:
    converter = ctx.service.backends.converter()
    if StorageCapability.LOCAL_FILE in store.info().capabilities:
        gate.check_file(converter, result.facts, store.path(key))
        return
    gate.check_object(
        converter,
        result.facts,
        lambda offset, length: store.open_read(key, offset=offset, length=length),
        result.size_bytes,
    )
