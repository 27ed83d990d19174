"""What was fetched, in the format that was asked for."""

import dataclasses

from imagesvc.crashpoint import crashpoint
from imagesvc.db import job as job_rows
from imagesvc.domain import image_origin
from imagesvc.worker import conversion, intake, landing
from imagesvc.worker.conversion import Wanted
from imagesvc.worker.flow import Step, StepContext, Wait

# Of its keys, as the step before writes to the same store.
MARK = "-converted"


class Convert(Step):
    """Write the converted disk to a fresh key; memo: store_id, key, facts of the disk.

    Of a format that stays nothing is kept: then the disk that was fetched is the one. A scratch file
    is of this run alone; another run begins anew, on whatever host.
    """

    name = "convert"

    def run(self, ctx: StepContext) -> Wait | None:
        """Convert, and give what was fetched to the reaper. Raises UnsupportedImage, ImageGone,
        QuotaExceeded, ScratchFull, TooLarge."""
        fetched = ctx.results["fetch"]
        place = (fetched["store_id"], fetched["key"])
        wanted = image_origin.needs_conversion(ctx.job.args, fetched["disk_format"])
        if wanted and "hash_value" not in ctx.memo:
            store_id = ctx.job.args["stores"][0]
            key = intake.announce(ctx, store_id, MARK)
            crashpoint("step.convert.begin")
            disk = dataclasses.replace(intake.disk(fetched), locations=(place,))
            image = intake.image_of(ctx)
            with conversion.opened(ctx, disk, Wanted(wanted)) as made:
                crashpoint("step.convert.opened")
                result = landing.land(
                    ctx, made.reader, (store_id, key), image, made.size_bytes, disk_format=wanted
                )
            crashpoint("step.convert.committed")
            facts = {**intake.facts(result), "guest": fetched.get("guest")}  # it is the same guest
            intake.keep(ctx, (store_id, key), store_id=store_id, key=key, **facts)
            crashpoint("step.convert.done")
        if wanted:
            with ctx.service.database.write() as conn:
                job_rows.fence(conn, ctx.job)
                intake.doom(conn, *place)
        return None

    def undo(self, ctx: StepContext) -> Wait | None:
        """Give the bytes to the reaper, unless they are the image's by now."""
        intake.withdraw_disk(ctx)
        return None
