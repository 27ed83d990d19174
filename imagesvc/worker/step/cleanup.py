"""What a job leaves outside is taken away."""

from imagesvc.crashpoint import crashpoint
from imagesvc.domain import capture
from imagesvc.domain.job import Job
from imagesvc.worker import disk_source
from imagesvc.worker.flow import Step, StepContext, Wait


class DeleteSnapshot(Step):
    """Delete the snapshots that were read; keeps nothing."""

    name = "cleanup"

    def applies(self, job: Job) -> bool:
        """Whether there were any."""
        return not job.args.get("ordered")

    def run(self, ctx: StepContext) -> Wait | None:
        """Delete them; one that is gone is success."""
        driver = disk_source.driver(ctx)
        crashpoint("step.cleanup.begin")
        for snapshot_id in capture.snapshots(ctx.job, ctx.results["snapshot"]).values():
            driver.delete_snapshot(snapshot_id)
        crashpoint("step.cleanup.done")
        return None
