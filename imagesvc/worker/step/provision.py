"""Servers from an image."""

from imagesvc import errors
from imagesvc.crashpoint import crashpoint
from imagesvc.db import image as image_rows
from imagesvc.interface.compute import ServerSpec
from imagesvc.interface.operation import Handle, ProgressState
from imagesvc.worker.flow import Step, StepContext, Wait

POLL_S = 0.3
GIB = 1 << 30


class CreateServers(Step):
    """Create and start the servers; memo: handle, result (servers with id or error)."""

    name = "provision"

    def run(self, ctx: StepContext) -> Wait | None:
        """Start it once, then ask how far it is."""
        driver = ctx.service.backends.compute(ctx.job.args["compute_id"])
        crashpoint("step.provision.begin")
        handle = ctx.memo.once("handle", lambda: self._start(ctx))
        crashpoint("step.provision.started")
        progress = driver.poll(handle)
        if not progress.done:
            ctx.progress(progress.done_bytes, progress.total_bytes)
            return Wait(POLL_S)
        if progress.state is not ProgressState.DONE:
            raise errors.ImagesvcError(progress.error or "No server could be created.")
        ctx.memo["result"] = {"servers": list(progress.result)}
        crashpoint("step.provision.done")
        return None

    def _start(self, ctx: StepContext) -> Handle:
        args, image_id = ctx.job.args, ctx.job.image_id or ""
        with ctx.service.database.read() as conn:
            image = image_rows.get(conn, image_id)
        if image is None:
            raise errors.ImageNotFound(image_id=image_id)
        source = ctx.service.image_files.image_source(image)
        spec = ServerSpec(
            name=args["name"],
            project_id=ctx.job.project_id,
            disks=(source,),
            memory_mib=args["memory_mib"],
            vcpus=args["vcpus"],
            disk_bytes=image.min_disk_gib * GIB,
            os_type=image.os_type or "linux",
            architecture=image.architecture or "x86_64",
            image_id=image.id,
        )
        driver = ctx.service.backends.compute(args["compute_id"])
        return driver.start_create(spec, args["count"], ctx.request_token)

    def undo(self, ctx: StepContext) -> None:
        """Stop the creation and remove what it made."""
        driver = ctx.service.backends.compute(ctx.job.args["compute_id"])
        if "handle" in ctx.memo:
            driver.cancel(ctx.memo["handle"])
        for server in ctx.memo.get("result", {}).get("servers", ()):
            if server["server_id"]:
                driver.delete_server(server["server_id"], project_id=ctx.job.project_id)
