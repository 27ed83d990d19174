"""A backup is removed."""

from imagesvc.crashpoint import crashpoint
from imagesvc.worker import backup_source
from imagesvc.worker.flow import Step, StepContext, Wait


class DeleteBackup(Step):
    """Remove it; memo: result."""

    name = "delete"
    final = True

    def run(self, ctx: StepContext) -> Wait | None:
        """Remove it; one that is gone is success."""
        driver, backup_id = backup_source.driver(ctx), ctx.job.args["backup_id"]
        driver.delete_backup(backup_id, project_id=ctx.job.project_id)
        crashpoint("step.delete.deleted")
        ctx.memo["result"] = {"backup_id": backup_id}
        return None
