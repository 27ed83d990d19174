"""Disks of a server as they are at one instant."""

from collections.abc import Mapping
from typing import Any

from imagesvc.crashpoint import crashpoint
from imagesvc.domain import capture
from imagesvc.domain.job import Job, JobType
from imagesvc.interface.compute import ComputeCapability, ComputeDriver, Consistency
from imagesvc.interface.errors import DriverError
from imagesvc.interface.operation import Handle
from imagesvc.worker import remote_work
from imagesvc.worker.flow import Step, StepContext, Wait

POLL_S = 0.5


class Snapshot(Step):
    """Snapshot the source disks; memo: asked, handle, snapshots (disk id -> snapshot id),
    consistency.
    """

    name = "snapshot"

    def run(self, ctx: StepContext) -> Wait | None:
        """Start it once, then ask how far it is. Raises DriverError if a disk is missing."""
        driver = _driver(ctx)
        crashpoint("step.snapshot.begin")
        ctx.memo.once("asked", lambda: True)
        handle = ctx.memo.once("handle", lambda: _start(ctx, driver))
        crashpoint("step.snapshot.started")
        answer = remote_work.follow(ctx, driver, handle, POLL_S, "The snapshot did not succeed.")
        if isinstance(answer, Wait):
            return answer
        made = _by_disk(ctx.job, answer)
        ctx.memo["snapshots"] = made
        wanted = [disk.disk_id for disk in capture.disks(ctx.job)]
        if not made.keys() >= set(wanted):
            raise DriverError("The server's disks have changed since the capture was asked for.")
        frozen = all(
            driver.snapshot_consistency(made[disk_id]) is Consistency.APPLICATION
            for disk_id in wanted
        )
        ctx.memo["consistency"] = str(Consistency.APPLICATION if frozen else Consistency.CRASH)
        crashpoint("step.snapshot.done")
        return None

    def undo(self, ctx: StepContext) -> Wait | None:
        """Stop it if it runs, and remove what it made."""
        if "asked" not in ctx.memo:
            return None
        driver = _driver(ctx)
        made = snapshots(ctx.job, ctx.memo)
        if not made:
            answer = remote_work.withdraw(ctx, driver, lambda: _start(ctx, driver), POLL_S)
            if isinstance(answer, Wait):
                return answer
            made = _by_disk(ctx.job, answer)
        for snapshot_id in made.values():
            driver.delete_snapshot(snapshot_id)
        return None


def snapshots(job: Job, memo: Mapping[str, Any]) -> dict[str, str]:
    """Disk id -> snapshot id, of the memo of this step; empty before there are any."""
    # A step that an earlier release ran kept the one snapshot that it knew.
    return dict(memo.get("snapshots") or _by_disk(job, memo.get("snapshot_id")))


def _by_disk(job: Job, result: Any) -> dict[str, str]:
    """What a driver made: of several disks a dict, of one the id alone."""
    if isinstance(result, Mapping):
        return dict(result)
    return {capture.disks(job)[0].disk_id: result} if result else {}


def _driver(ctx: StepContext) -> ComputeDriver:
    return ctx.service.backends.compute(ctx.job.args["compute_id"])


def _start(ctx: StepContext, driver: ComputeDriver) -> Handle:
    """All disks, several, or one; frozen if that is asked for and the backend can."""
    args, token, project_id = ctx.job.args, ctx.request_token, ctx.job.project_id
    server_id = args["server_id"]
    disk_ids = [disk.disk_id for disk in capture.disks(ctx.job)]
    can = ComputeCapability.QUIESCE in driver.info().capabilities
    quiesce = bool(args.get("quiesce")) and can
    if ctx.job.type == JobType.CAPTURE_WHOLE_MACHINE:
        return driver.start_group_snapshot(server_id, token, project_id=project_id, quiesce=quiesce)
    if len(disk_ids) > 1:
        return driver.start_disks_snapshot(
            server_id, disk_ids, token, project_id=project_id, quiesce=quiesce
        )
    return driver.start_snapshot(
        server_id, disk_ids[0], token, project_id=project_id, quiesce=quiesce
    )
