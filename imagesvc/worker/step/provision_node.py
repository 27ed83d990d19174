"""Bare-metal nodes: an image onto the disk, and zeros."""

from imagesvc.crashpoint import crashpoint
from imagesvc.interface.baremetal import BaremetalDriver, DeploySpec
from imagesvc.interface.operation import Handle
from imagesvc.worker import image_sight, remote_work
from imagesvc.worker.flow import Step, StepContext, Wait

POLL_S = 0.3


class DeployNode(Step):
    """Write the image to the node's disk; memo: asked, handle, result (the node).

    What was on the disk is lost with the first byte: taking it back ends the writing, and leaves a
    disk that does not boot.
    """

    name = "provision"
    final = True

    def run(self, ctx: StepContext) -> Wait | None:
        """Start it once, then ask how far it is. Raises ImageGone if the caller sees no such image."""
        driver = _driver(ctx)
        crashpoint("step.provision_node.begin")
        ctx.memo.once("asked", lambda: True)
        handle = ctx.memo.once("handle", lambda: _deploy(ctx, driver))
        crashpoint("step.provision_node.started")
        answer = remote_work.follow(ctx, driver, handle, POLL_S, "The node was not deployed.")
        if isinstance(answer, Wait):
            return answer
        ctx.memo["result"] = {"node_id": answer}
        crashpoint("step.provision_node.done")
        return None

    def undo(self, ctx: StepContext) -> Wait | None:
        """Stop the writing."""
        if "asked" not in ctx.memo:
            return None
        return _withdraw(ctx)


class UndeployNode(Step):
    """Erase the node's disk and free the node; memo: asked, handle, result (the node)."""

    name = "erase"
    final = True

    def run(self, ctx: StepContext) -> Wait | None:
        """Start it once, then ask how far it is."""
        driver = _driver(ctx)
        crashpoint("step.erase_node.begin")
        ctx.memo.once("asked", lambda: True)
        handle = ctx.memo.once("handle", lambda: _undeploy(ctx, driver))
        crashpoint("step.erase_node.started")
        answer = remote_work.follow(ctx, driver, handle, POLL_S, "The disk was not erased.")
        if isinstance(answer, Wait):
            return answer
        ctx.memo["result"] = {"node_id": answer}
        crashpoint("step.erase_node.done")
        return None

    def undo(self, ctx: StepContext) -> Wait | None:
        """Stop erasing; what is erased stays so."""
        if "asked" not in ctx.memo:
            return None
        return _withdraw(ctx)


def _withdraw(ctx: StepContext) -> Wait | None:
    """Cancel the work if it was begun. To begin it for that would destroy what is on the disk."""
    driver = _driver(ctx)
    answer = remote_work.withdraw(ctx, driver, lambda: driver.forestall(ctx.request_token), POLL_S)
    return answer if isinstance(answer, Wait) else None


def _driver(ctx: StepContext) -> BaremetalDriver:
    return ctx.service.backends.baremetal(ctx.job.args["backend_id"])


def _deploy(ctx: StepContext, driver: BaremetalDriver) -> Handle:
    args, image_id = ctx.job.args, ctx.job.image_id or ""
    image = image_sight.visible(ctx, image_id)
    source = ctx.service.image_files.image_source(
        ctx.caller, image, args["disk"], job_id=ctx.job.id
    )
    spec = DeploySpec(ctx.job.project_id, source, image_id)
    return driver.start_deploy(args["node_id"], spec, ctx.request_token)


def _undeploy(ctx: StepContext, driver: BaremetalDriver) -> Handle:
    return driver.start_undeploy(
        ctx.job.args["node_id"], ctx.request_token, project_id=ctx.job.project_id
    )
