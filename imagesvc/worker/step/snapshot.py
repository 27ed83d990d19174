"""A disk of a server as it is at one instant."""

from imagesvc import errors
from imagesvc.crashpoint import crashpoint
from imagesvc.interface.operation import ProgressState
from imagesvc.worker.flow import Step, StepContext, Wait

POLL_S = 0.5


class Snapshot(Step):
    """Snapshot the source disk; memo: handle, snapshot_id."""

    name = "snapshot"

    def run(self, ctx: StepContext) -> Wait | None:
        """Start it once, then ask how far it is."""
        args = ctx.job.args
        driver = ctx.service.backends.compute(args["compute_id"])
        crashpoint("step.snapshot.begin")
        handle = ctx.memo.once(
            "handle",
            lambda: driver.start_snapshot(
                args["server_id"],
                args["disk_id"],
                ctx.request_token,
                project_id=ctx.job.project_id,
            ),
        )
        crashpoint("step.snapshot.started")
        progress = driver.poll(handle)
        if not progress.done:
            ctx.progress(progress.done_bytes, progress.total_bytes)
            return Wait(POLL_S)
        if progress.state is not ProgressState.DONE:
            raise errors.ImagesvcError(progress.error or "The snapshot did not succeed.")
        ctx.memo["snapshot_id"] = progress.result
        crashpoint("step.snapshot.done")
        return None

    def undo(self, ctx: StepContext) -> None:
        """Stop it if it runs, and remove what it made."""
        driver = ctx.service.backends.compute(ctx.job.args["compute_id"])
        if "handle" in ctx.memo and "snapshot_id" not in ctx.memo:
            driver.cancel(ctx.memo["handle"])
        if "snapshot_id" in ctx.memo:
            driver.delete_snapshot(ctx.memo["snapshot_id"])
