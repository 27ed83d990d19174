"""A disk as it is at one instant."""

from imagesvc.crashpoint import crashpoint
from imagesvc.worker import disk_source, remote_work
from imagesvc.worker.flow import Step, StepContext, Wait

POLL_S = 0.5


class Snapshot(Step):
    """Snapshot the source disk; memo: asked, handle, snapshot_id."""

    name = "snapshot"

    def run(self, ctx: StepContext) -> Wait | None:
        """Start it once, then ask how far it is."""
        driver = disk_source.driver(ctx)
        crashpoint("step.snapshot.begin")
        ctx.memo.once("asked", lambda: True)
        handle = ctx.memo.once("handle", lambda: disk_source.start(ctx, driver))
        crashpoint("step.snapshot.started")
        answer = remote_work.follow(ctx, driver, handle, POLL_S, "The snapshot did not succeed.")
        if isinstance(answer, Wait):
            return answer
        ctx.memo["snapshot_id"] = answer
        crashpoint("step.snapshot.done")
        return None

    def undo(self, ctx: StepContext) -> Wait | None:
        """Stop it if it runs, and remove what it made."""
        if "asked" not in ctx.memo:
            return None
        driver = disk_source.driver(ctx)
        snapshot_id = ctx.memo.get("snapshot_id")
        if snapshot_id is None:
            snapshot_id = remote_work.withdraw(
                ctx, driver, lambda: disk_source.start(ctx, driver), POLL_S
            )
            if isinstance(snapshot_id, Wait):
                return snapshot_id
        if snapshot_id is not None:
            driver.delete_snapshot(snapshot_id)
        return None
