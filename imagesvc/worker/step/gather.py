"""The bytes that another region sent become objects, one a disk, by the one pipe."""

from typing import Any

from imagesvc.crashpoint import crashpoint
from imagesvc.stream import pipe
from imagesvc.worker import intake, landing, origin
from imagesvc.worker.flow import Step, StepContext, Wait


class Gather(Step):
    """Join the parts of each upload, judged as any upload, and held against the digest that the
    other region gave; memo: made (a dict a disk). A second run goes on with the next disk."""

    name = "gather"

    def run(self, ctx: StepContext) -> Wait | None:
        """Raises UnsupportedImage, ImageGone, InvalidRequest for a wrong digest, QuotaExceeded."""
        parts = ctx.job.args["parts"]
        while len(made := ctx.memo.get("made", [])) < len(parts):
            _gather(ctx, parts[len(made)], made)
            crashpoint("step.gather.kept")
        crashpoint("step.gather.done")
        return None

    def undo(self, ctx: StepContext) -> Wait | None:
        """Give the bytes to the reaper, unless they are the image's by now."""
        intake.doom_all(ctx)
        return None


def _gather(ctx: StepContext, part: dict[str, Any], made: list[dict[str, Any]]) -> None:
    store_id = ctx.job.args["stores"][0]
    key = intake.announce(ctx, store_id, f"-disk-{part['index']}")
    crashpoint("step.gather.begin")
    result = _write(ctx, store_id, key, part)
    crashpoint("step.gather.committed")
    place = (store_id, key)
    facts = {
        "store_id": store_id, "key": key, "index": part["index"], "role": part["role"],
        **intake.facts(result), "disk_format": part["disk_format"],
        **intake.found(ctx, result, place),
    }  # fmt: skip
    intake.keep(ctx, place, made=[*made, facts])


def _write(ctx: StepContext, store_id: str, key: str, part: dict[str, Any]) -> pipe.PipeResult:
    expected = {part["hash_algorithm"]: part["hash_value"]}
    with origin.open_upload(ctx, part["upload_id"]) as source:
        # Packed bytes stay so: they are what the other region keeps.
        came, reader, _ = landing.hashed(ctx, source, expected, unpacking=False)
        return landing.land(
            ctx,
            reader,
            (store_id, key),
            intake.image_of(ctx),
            part["size_bytes"],
            landing.digest_check(expected, came),
            reserved=True,
            disk_format=part["disk_format"],
        )
