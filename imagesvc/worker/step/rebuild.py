"""Servers with a new system disk."""

from typing import Any

from imagesvc import errors
from imagesvc.crashpoint import crashpoint
from imagesvc.interface.compute import ComputeDriver
from imagesvc.interface.errors import DriverError
from imagesvc.interface.image_source import ImageSource
from imagesvc.interface.operation import Handle, ProgressState
from imagesvc.worker import failure, image_sight
from imagesvc.worker.flow import SPARE_ATTEMPTS, Step, StepContext, Wait

POLL_S = 0.3
# Servers that are without their system disk at the same moment.
AT_ONCE = 4


class RebuildServers(Step):
    """Rebuild some servers at a time; memo: asked and handles, by number; ended (number -> error),
    result (servers with id and error).

    What goes wrong with one is told of it, and stops no other.
    """

    name = "rebuild"

    def run(self, ctx: StepContext) -> Wait | None:
        """Start what may be started, ask how far the rest is. Raises DriverError if all failed."""
        servers = ctx.job.args["servers"]
        crashpoint("step.rebuild.begin")
        passing: Exception | None = None
        under_way = 0
        for number in range(len(servers)):
            if str(number) in ctx.memo.get("ended", {}) or under_way == AT_ONCE:
                continue
            try:
                error = _push(ctx, number)
            except (DriverError, errors.ImagesvcError) as exc:
                # One server is not the job: the others go on while this one is tried again.
                if _may_pass(ctx, exc):
                    passing = exc
                    continue
                error = failure.of(exc).text
            if error is None:
                under_way += 1
                continue
            ctx.memo["ended"] = {**ctx.memo.get("ended", {}), str(number): error}
            crashpoint("step.rebuild.ended")
        image_bytes = ctx.job.args["image_bytes"]
        ctx.progress(len(ctx.memo.get("ended", {})) * image_bytes, len(servers) * image_bytes)
        if passing is not None:
            raise passing
        if len(ctx.memo.get("ended", {})) < len(servers):
            return Wait(POLL_S)
        _conclude(ctx)
        crashpoint("step.rebuild.done")
        return None

    def undo(self, ctx: StepContext) -> Wait | None:
        """Stop what is under way: such a server keeps its old disk. What is done stays done."""
        waiting = False
        for number in ctx.memo.get("asked", []):
            if str(number) not in ctx.memo.get("ended", {}):
                waiting |= not _withdrawn(ctx, number)
        return Wait(POLL_S) if waiting else None


def _push(ctx: StepContext, number: int) -> str | None:
    """Start one or see how far it is: None while it runs, then what went wrong, or nothing."""
    driver = _driver(ctx, number)
    handle = _handle(ctx, driver, number)
    crashpoint("step.rebuild.started")
    progress = driver.poll(handle)
    if not progress.done:
        return None
    if progress.state is ProgressState.DONE:
        return ""
    return progress.error or "The server could not be rebuilt."


def _handle(ctx: StepContext, driver: ComputeDriver, number: int) -> Handle:
    """The work on one server, begun if it is not."""
    handles: dict[str, Handle] = ctx.memo.get("handles", {})
    if str(number) not in handles:
        asked = ctx.memo.get("asked", [])
        if number not in asked:
            ctx.memo["asked"] = [*asked, number]
        handle = driver.start_rebuild(
            ctx.job.args["servers"][number]["server_id"],
            _source(ctx),
            _token(ctx, number),
            project_id=ctx.job.project_id,
        )
        handles = {**handles, str(number): handle}
        ctx.memo["handles"] = handles
    return handles[str(number)]


def _withdrawn(ctx: StepContext, number: int) -> bool:
    """Whether the work on one server has ended, having been asked to stop."""
    driver = _driver(ctx, number)
    try:
        # Never begun for this: a rebuild may be through before it is told to stop.
        handle = ctx.memo.get("handles", {}).get(str(number))
        handle = handle or driver.forestall_rebuild(_token(ctx, number))
        if handle is None:
            return True
        driver.cancel(handle)
        return driver.poll(handle).done
    except DriverError as exc:
        if exc.retryable:
            raise
        return True  # it cannot be found, or is forgotten: nothing is under way


def _token(ctx: StepContext, number: int) -> str:
    return f"{ctx.request_token}:{number}"


def _conclude(ctx: StepContext) -> None:
    """Tell of each server. Raises DriverError if none was rebuilt."""
    ended: dict[str, str] = ctx.memo["ended"]
    told = [
        {"server_id": each["server_id"], "error": ended[str(number)]}
        for number, each in enumerate(ctx.job.args["servers"])
    ]
    if all(each["error"] for each in told):
        raise DriverError(f"No server was rebuilt. {told[0]['error']}", str(told))
    ctx.memo["result"] = {"servers": told}


def _driver(ctx: StepContext, number: int) -> ComputeDriver:
    args: dict[str, Any] = ctx.job.args["servers"][number]
    return ctx.service.backends.compute(args["compute_id"])


def _source(ctx: StepContext) -> ImageSource:
    image = image_sight.visible(ctx, ctx.job.image_id or "")
    return ctx.service.image_files.image_source(ctx.caller, image, job_id=ctx.job.id)


def _may_pass(ctx: StepContext, exc: Exception) -> bool:
    """Whether the server is tried again before its failure is told."""
    tries = ctx.job.attempts_max - SPARE_ATTEMPTS
    return failure.of(exc).retryable and ctx.job.attempt < tries
