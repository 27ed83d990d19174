"""The image has its bytes in every store that could take them."""

from imagesvc import errors
from imagesvc.crashpoint import crashpoint
from imagesvc.db import job as job_rows
from imagesvc.manager import arrival, job_token, upload_end
from imagesvc.manager.operation import Step as AuditStep
from imagesvc.worker import intake
from imagesvc.worker.flow import Step, StepContext, Wait
from imagesvc.worker.step import spread


class Conclude(Step):
    """Publish what is not the image's yet, in one transaction that ends the step."""

    name = "conclude"
    final = True

    def run(self, ctx: StepContext) -> Wait | None:
        """Insert places, importing -> active, quota, audit; staged bytes go.

        Raises Cancelled, ImageGone, QuotaExceeded, TooLarge for more properties than there may be.
        """
        origin = spread.origin_of(ctx)
        memo = ctx.results["spread"]
        held = spread.held(ctx, origin, memo)
        failed = memo.get("failed", [])
        ctx.memo["result"] = {"image_id": ctx.job.image_id, "failed_stores": failed}
        crashpoint("step.conclude.begin")
        with ctx.service.database.write() as conn:
            if job_rows.fence(conn, ctx.job):
                raise errors.Cancelled(job_id=ctx.job.id)  # the last moment for it
            guests, limits = ctx.service.guests, ctx.service.limits
            arrival.arrive(conn, ctx.service.quotas, ctx.job, origin, held, guests, limits)
            arrival.unmark(conn, ctx.job, failed)
            if staged := ctx.job.args.get("staged"):
                intake.doom(conn, staged["store_id"], staged["key"])
            upload_end.doom_parts(conn, ctx.job)
            job_token.forget(conn, ctx.job.id)
            detail = {
                "size_bytes": origin.size_bytes, "job_id": ctx.job.id, "stores": sorted(held),
                "failed": failed,
            }  # fmt: skip
            audit = AuditStep(conn, ctx.job.image_id or "", owner=ctx.job.project_id, detail=detail)
            ctx.service.operation.record(
                conn, ctx.caller, "image_import:complete", "image", audit, "success"
            )
            ctx.complete(conn)
        crashpoint("step.conclude.done")
        return None
