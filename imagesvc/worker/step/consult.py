"""What another region's image service says of the image that is taken over from there."""

from imagesvc import errors
from imagesvc.crashpoint import crashpoint
from imagesvc.db import image as image_rows
from imagesvc.db import job as job_rows
from imagesvc.domain import image_property
from imagesvc.domain.remote_image import RemoteImage
from imagesvc.manager import image as image_manager
from imagesvc.stream import container
from imagesvc.worker.flow import Step, StepContext, Wait


class Consult(Step):
    """Ask, and give the image formats and properties; memo: url, size_bytes, digest."""

    name = "consult"

    def run(self, ctx: StepContext) -> Wait | None:
        """Raises FetchFailed, InvalidRequest, TooLarge, UnsupportedImage, ImageGone."""
        crashpoint("step.consult.begin")
        remotes = ctx.service.remotes
        url = remotes.locate(ctx.job)
        remote = remotes.describe(ctx.job, url)
        _take_over(ctx, remote)
        crashpoint("step.consult.taken")
        ctx.memo.put(url=url, size_bytes=remote.size_bytes, digest=list(remote.digest))
        crashpoint("step.consult.done")
        return None


def _take_over(ctx: StepContext, remote: RemoteImage) -> None:
    with ctx.service.database.write() as conn:
        job_rows.fence(conn, ctx.job)
        image = image_rows.get(conn, ctx.job.image_id or "", lock=True)
        if image is None:
            raise errors.ImageGone(image_id=ctx.job.image_id)
        update = image_property.apply(image, remote.changes, ctx.service.limits)
        container.check_container(update.values["container_format"])
        image_manager.write_update(conn, image.id, update)
