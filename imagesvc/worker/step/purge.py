"""A deleted image leaves the bin for good."""

from typing import Any

from imagesvc.crashpoint import crashpoint
from imagesvc.db import job as job_rows
from imagesvc.worker.flow import Step, StepContext, Wait


class Purge(Step):
    """Remove record and bytes, if it is in the bin still since the moment that the job knows."""

    name = "purge"
    final = True

    def run(self, ctx: StepContext) -> Wait | None:
        """Remove it; one that came back, or is gone, is success."""
        crashpoint("step.purge.begun")

        def done(conn: Any) -> None:
            job_rows.fence(conn, ctx.job)
            ctx.complete(conn)

        image_id, since = ctx.job.args["image_id"], ctx.job.args["deleted_at"]
        ctx.service.bins.end(ctx.caller, image_id, since, done)
        crashpoint("step.purge.ended")
        return None
