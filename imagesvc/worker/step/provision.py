"""Servers from an image."""

from imagesvc import errors
from imagesvc.crashpoint import crashpoint
from imagesvc.db import image as image_rows
from imagesvc.db import image_disk
from imagesvc.interface.compute import ComputeDriver, ServerSpec
from imagesvc.interface.operation import Handle
from imagesvc.worker import remote_work
from imagesvc.worker.flow import Step, StepContext, Wait

POLL_S = 0.3
GIB = 1 << 30


class CreateServers(Step):
    """Create and start the servers; memo: asked, handle, result (servers with id or error)."""

    name = "provision"
    final = True

    def run(self, ctx: StepContext) -> Wait | None:
        """Start it once, then ask how far it is. Raises ImageGone if the image was deleted."""
        driver = _driver(ctx)
        crashpoint("step.provision.begin")
        ctx.memo.once("asked", lambda: True)
        handle = ctx.memo.once("handle", lambda: _start(ctx, driver))
        crashpoint("step.provision.started")
        answer = remote_work.follow(ctx, driver, handle, POLL_S, "No server could be created.")
        if isinstance(answer, Wait):
            return answer
        ctx.memo["result"] = {"servers": list(answer)}
        crashpoint("step.provision.done")
        return None

    def undo(self, ctx: StepContext) -> Wait | None:
        """Stop the creation and remove what it made."""
        if "asked" not in ctx.memo:
            return None
        driver = _driver(ctx)
        servers = ctx.memo.get("result", {}).get("servers")
        if servers is None:
            servers = remote_work.withdraw(ctx, driver, lambda: _start(ctx, driver), POLL_S)
            if isinstance(servers, Wait):
                return servers
        for server in servers or ():
            if server["server_id"]:
                driver.delete_server(server["server_id"], project_id=ctx.job.project_id)
        return None


def _driver(ctx: StepContext) -> ComputeDriver:
    return ctx.service.backends.compute(ctx.job.args["compute_id"])


def _start(ctx: StepContext, driver: ComputeDriver) -> Handle:
    args, image_id = ctx.job.args, ctx.job.image_id or ""
    with ctx.service.database.read() as conn:
        image = image_rows.get(conn, image_id)
        found = next((disk.guest for disk in image_disk.list_for(conn, image_id)), None)
    if image is None:
        raise errors.ImageGone(image_id=image_id)
    spec = ServerSpec(
        name=args["name"],
        project_id=ctx.job.project_id,
        disks=(ctx.service.image_files.image_source(image),),
        memory_mib=args["memory_mib"],
        vcpus=args["vcpus"],
        disk_bytes=image.min_disk_gib * GIB,
        os_type=image.os_type or (found and found.os_type) or "linux",
        architecture=image.architecture or "x86_64",
        image_id=image.id,
    )
    return driver.start_create(spec, args["count"], ctx.request_token)
