"""Disks as they are at one instant."""

from imagesvc.crashpoint import crashpoint
from imagesvc.domain import capture
from imagesvc.domain.job import Job
from imagesvc.interface.errors import DriverError
from imagesvc.worker import disk_source, remote_work
from imagesvc.worker.flow import Step, StepContext, Wait

POLL_S = 0.5


class Snapshot(Step):
    """Snapshot the source disks; memo: asked, handle, snapshots (disk id -> snapshot id),
    consistency.
    """

    name = "snapshot"

    def applies(self, job: Job) -> bool:
        """Whether the disks are copied by us; a backup service may copy them by itself."""
        return not job.args.get("ordered")

    def run(self, ctx: StepContext) -> Wait | None:
        """Start it once, then ask how far it is. Raises DriverError if a disk is missing."""
        driver = disk_source.driver(ctx)
        crashpoint("step.snapshot.begin")
        ctx.memo.once("asked", lambda: True)
        handle = ctx.memo.once("handle", lambda: disk_source.start(ctx, driver))
        crashpoint("step.snapshot.started")
        answer = remote_work.follow(ctx, driver, handle, POLL_S, "The snapshot did not succeed.")
        if isinstance(answer, Wait):
            return answer
        made = capture.by_disk(ctx.job, answer)
        ctx.memo["snapshots"] = made
        wanted = [disk.disk_id for disk in capture.disks(ctx.job)]
        if not made.keys() >= set(wanted):
            raise DriverError("The server's disks have changed since the capture was asked for.")
        found = disk_source.consistency(ctx, driver, [made[disk_id] for disk_id in wanted])
        if found is not None:
            ctx.memo[capture.CONSISTENCY] = str(found)
        crashpoint("step.snapshot.done")
        return None

    def undo(self, ctx: StepContext) -> Wait | None:
        """Stop it if it runs, and remove what it made."""
        if "asked" not in ctx.memo:
            return None
        driver = disk_source.driver(ctx)
        made = capture.snapshots(ctx.job, ctx.memo)
        if not made:
            answer = remote_work.withdraw(
                ctx, driver, lambda: disk_source.start(ctx, driver), POLL_S
            )
            if isinstance(answer, Wait):
                return answer
            made = capture.by_disk(ctx.job, answer)
        for snapshot_id in made.values():
            driver.delete_snapshot(snapshot_id)
        return None
