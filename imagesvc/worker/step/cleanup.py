"""What a job leaves outside is taken away."""

from imagesvc.crashpoint import crashpoint
from imagesvc.worker.flow import Step, StepContext, Wait


class DeleteSnapshot(Step):
    """Delete the snapshot that was read; keeps nothing."""

    name = "cleanup"

    def run(self, ctx: StepContext) -> Wait | None:
        """Delete it; one that is gone is success."""
        driver = ctx.service.backends.compute(ctx.job.args["compute_id"])
        crashpoint("step.cleanup.begin")
        driver.delete_snapshot(ctx.results["snapshot"]["snapshot_id"])
        crashpoint("step.cleanup.done")
        return None
