"""A backup by a service that sees the server by itself."""

from imagesvc.domain.job import Job
from imagesvc.interface.backup import BackupDriver
from imagesvc.interface.operation import Handle
from imagesvc.worker import backup_source, remote_work
from imagesvc.worker.flow import Step, StepContext, Wait
from imagesvc.worker.step.keep_backup import spec_of

POLL_S = 1.0


class OrderBackup(Step):
    """Have the service make the backup; memo: asked, handle, backup_id, result (its id)."""

    name = "order"
    final = True

    def applies(self, job: Job) -> bool:
        """Whether the service copies the server by itself."""
        return bool(job.args["ordered"])

    def run(self, ctx: StepContext) -> Wait | None:
        """Start it once, then ask how far it is."""
        driver = backup_source.driver(ctx)
        ctx.memo.once("asked", lambda: True)
        handle = ctx.memo.once("handle", lambda: _start(ctx, driver))
        answer = remote_work.follow(ctx, driver, handle, POLL_S, "No backup could be made.")
        if isinstance(answer, Wait):
            return answer
        ctx.memo.put(backup_id=answer, result={"backup_id": answer})
        return None

    def undo(self, ctx: StepContext) -> Wait | None:
        """Stop it and remove what was made. Raises BackupInUse while others read that."""
        if "asked" not in ctx.memo:
            return None
        driver = backup_source.driver(ctx)
        made = ctx.memo.get("result", {}).get("backup_id")
        if made is None:
            made = remote_work.withdraw(ctx, driver, lambda: _start(ctx, driver), POLL_S)
            if isinstance(made, Wait):
                return made
        if made:
            ctx.memo.once("backup_id", lambda: made)
            backup_source.take_back(ctx, made)
        return None


def _start(ctx: StepContext, driver: BackupDriver) -> Handle:
    return driver.start_create(spec_of(ctx.job), ctx.request_token)
