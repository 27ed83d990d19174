"""What came, in the format that was asked for, or that the operator keeps imports in."""

from imagesvc.crashpoint import crashpoint
from imagesvc.db import job as job_rows
from imagesvc.domain import image_import, image_origin
from imagesvc.domain.job import Job
from imagesvc.worker import conversion, intake, landing
from imagesvc.worker.conversion import Wanted
from imagesvc.worker.flow import Step, StepContext, Wait
from imagesvc.worker.step.fetch import LOOKING

# Of its keys, as the step before writes to the same store.
MARK = "-converted"


class Convert(Step):
    """Write the converted disk to a fresh key; memo: store_id, key, facts of the disk.

    Of a format that stays nothing is kept: then the disk that came is the one. A scratch file
    is of this run alone; another run begins anew, on whatever host.
    """

    name = "convert"

    def applies(self, job: Job) -> bool:
        """Whether somebody may want another format than that of the bytes."""
        return job.type in LOOKING or "output_format" in job.args

    def run(self, ctx: StepContext) -> Wait | None:
        """Convert, and give what came to the reaper; staged bytes stay with their job.

        Raises UnsupportedImage, ImageGone, QuotaExceeded, ScratchFull, TooLarge.
        """
        came = intake.brought(ctx)
        disk = intake.stored_disk(came)
        wanted = _wanted(ctx, disk.disk_format)
        if wanted and "hash_value" not in ctx.memo:
            store_id = ctx.job.args["stores"][0]
            key = intake.announce(ctx, store_id, MARK)
            crashpoint("step.convert.begin")
            image = intake.image_of(ctx)
            with conversion.opened(ctx, disk, Wanted(wanted)) as made:
                crashpoint("step.convert.opened")
                result = landing.land(
                    ctx, made.reader, (store_id, key), image, made.size_bytes, disk_format=wanted
                )
            crashpoint("step.convert.committed")
            facts = {**intake.facts(result), "guest": came.get("guest")}  # it is the same guest
            intake.keep(ctx, (store_id, key), store_id=store_id, key=key, **facts)
            crashpoint("step.convert.done")
        staged = ctx.job.args.get("staged", {})
        if wanted and came["key"] != staged.get("key"):
            with ctx.service.database.write() as conn:
                job_rows.fence(conn, ctx.job)
                intake.doom(conn, came["store_id"], came["key"])
        return None

    def undo(self, ctx: StepContext) -> Wait | None:
        """Give the bytes to the reaper, unless they are the image's by now."""
        intake.withdraw_disk(ctx)
        return None


def _wanted(ctx: StepContext, found: str) -> str:
    """The format that bytes of format `found` become; empty if they stay as they are."""
    if ctx.job.type in LOOKING:
        return image_origin.needs_conversion(ctx.job.args, found)
    container = intake.image_of(ctx).container_format
    return image_import.needs_conversion(ctx.job.args["output_format"], found, container)
