"""A server from a backup."""

from imagesvc.crashpoint import crashpoint
from imagesvc.interface.backup import RestoreSpec
from imagesvc.interface.compute import ServerSpec
from imagesvc.interface.operation import Handle
from imagesvc.worker import backup_source, remote_work
from imagesvc.worker.flow import Step, StepContext, Wait

POLL_S = 0.3


class RestoreServer(Step):
    """Make the server, by the backup's service or by the compute backend; memo: asked, handle,
    result (servers with id or error).
    """

    name = "provision"
    final = True

    def run(self, ctx: StepContext) -> Wait | None:
        """Start it once, then ask how far it is. Raises NotFound if the backup is gone."""
        worker = _worker(ctx)
        ctx.memo.once("asked", lambda: True)
        handle = ctx.memo.once("handle", lambda: _start(ctx))
        crashpoint("step.restore.started")
        answer = remote_work.follow(ctx, worker, handle, POLL_S, "No server could be created.")
        if isinstance(answer, Wait):
            return answer
        ctx.memo["result"] = {"servers": list(answer)}
        crashpoint("step.restore.done")
        return None

    def undo(self, ctx: StepContext) -> Wait | None:
        """Stop the creation and remove what it made."""
        if "asked" not in ctx.memo:
            return None
        servers = ctx.memo.get("result", {}).get("servers")
        if servers is None:
            servers = remote_work.withdraw(ctx, _worker(ctx), lambda: _start(ctx), POLL_S)
            if isinstance(servers, Wait):
                return servers
        compute = ctx.service.backends.compute(ctx.job.args["compute_id"])
        for server in servers or ():
            if server["server_id"]:
                compute.delete_server(server["server_id"], project_id=ctx.job.project_id)
        return None


def _worker(ctx: StepContext) -> remote_work.Worker:
    """Who makes the server."""
    if ctx.job.args["ordered"]:
        return backup_source.driver(ctx)
    return ctx.service.backends.compute(ctx.job.args["compute_id"])


def _start(ctx: StepContext) -> Handle:
    args = ctx.job.args
    asked = {
        "name": args["name"], "project_id": ctx.job.project_id,
        "memory_mib": args["memory_mib"], "vcpus": args["vcpus"],
    }  # fmt: skip
    found = backup_source.find(ctx)
    if args["ordered"]:
        driver = backup_source.driver(ctx)
        return driver.start_restore(found.backup_id, RestoreSpec(**asked), ctx.request_token)
    spec = ServerSpec(
        disks=ctx.service.backup_files.sources(args["backend_id"], found, ctx.job.id),
        os_type=found.os_type,
        architecture=found.architecture,
        **asked,
    )
    compute = ctx.service.backends.compute(args["compute_id"])
    return compute.start_create(spec, 1, ctx.request_token)
