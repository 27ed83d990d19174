"""Volumes, empty or from an image."""

from imagesvc import errors
from imagesvc.crashpoint import crashpoint
from imagesvc.db import image as image_rows
from imagesvc.interface.image_source import ImageSource
from imagesvc.interface.operation import Handle
from imagesvc.interface.volume import VolumeDriver, VolumeSpec
from imagesvc.worker import image_sight, kept_source, remote_work
from imagesvc.worker.flow import Step, StepContext, Wait

POLL_S = 0.3


class CreateVolumes(Step):
    """Create the volumes, all or none; memo: asked (facts of the image's disk), handle, result
    (volume ids).
    """

    name = "provision"
    final = True

    def run(self, ctx: StepContext) -> Wait | None:
        """Start it once, then ask how far it is. Raises ImageGone if the caller sees no such image."""
        driver = _driver(ctx)
        crashpoint("step.provision_volume.begin")
        # Here, not at the start: `undo` starts lost work again to find it, and ends it.
        if ctx.job.image_id and "handle" not in ctx.memo:
            image_sight.visible(ctx, ctx.job.image_id)
        handle = ctx.memo.once("handle", lambda: _start(ctx, driver))
        crashpoint("step.provision_volume.started")
        answer = remote_work.follow(ctx, driver, handle, POLL_S, "No volume could be created.")
        if isinstance(answer, Wait):
            return answer
        ctx.memo["result"] = {"volumes": list(answer)}
        crashpoint("step.provision_volume.done")
        return None

    def undo(self, ctx: StepContext) -> Wait | None:
        """Stop the creation and remove what it made."""
        if "asked" not in ctx.memo:
            return None
        driver = _driver(ctx)
        volumes = ctx.memo.get("result", {}).get("volumes")
        if volumes is None:
            volumes = remote_work.withdraw(ctx, driver, lambda: _find(ctx, driver), POLL_S)
            if isinstance(volumes, Wait):
                return volumes
        for volume_id in volumes or ():
            driver.delete_volume(volume_id, project_id=ctx.job.project_id)
        return None


def _driver(ctx: StepContext) -> VolumeDriver:
    return ctx.service.backends.volume(ctx.job.args["backend_id"])


def _start(ctx: StepContext, driver: VolumeDriver) -> Handle:
    """Begin, with what is true of the image now; it is kept first."""
    source = _source(ctx)
    ctx.memo["asked"] = {"source": source and kept_source.plain(source)}
    return _ask(ctx, driver, source)


def _find(ctx: StepContext, driver: VolumeDriver) -> Handle:
    """What was begun, though its image may be gone."""
    asked = ctx.memo["asked"]
    # Workers of releases before kept no facts.
    if asked is True:
        return _ask(ctx, driver, _source(ctx))
    kept = asked["source"]
    return _ask(ctx, driver, kept and kept_source.again(ctx, kept))


def _ask(ctx: StepContext, driver: VolumeDriver, source: ImageSource | None) -> Handle:
    args = ctx.job.args
    spec = VolumeSpec(
        name=args["name"],
        project_id=ctx.job.project_id,
        size_bytes=args["size_bytes"],
        source=source,
        image_id=ctx.job.image_id,
    )
    return driver.start_create(spec, args["count"], ctx.request_token)


def _source(ctx: StepContext) -> ImageSource | None:
    image_id = ctx.job.image_id
    if image_id is None:
        return None
    with ctx.service.database.read() as conn:
        image = image_rows.get(conn, image_id)
    if image is None:
        raise errors.ImageGone(image_id=image_id)
    return ctx.service.image_files.image_source(
        ctx.caller, image, ctx.job.args["disk"], job_id=ctx.job.id
    )
