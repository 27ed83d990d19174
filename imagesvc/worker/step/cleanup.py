"""What a job leaves outside is taken away."""

from imagesvc.crashpoint import crashpoint
from imagesvc.worker import disk_source
from imagesvc.worker.flow import Step, StepContext, Wait


class DeleteSnapshot(Step):
    """Delete the snapshot that was read; keeps nothing."""

    name = "cleanup"

    def run(self, ctx: StepContext) -> Wait | None:
        """Delete it; one that is gone is success."""
        driver = disk_source.driver(ctx)
        crashpoint("step.cleanup.begin")
        driver.delete_snapshot(ctx.results["snapshot"]["snapshot_id"])
        crashpoint("step.cleanup.done")
        return None
