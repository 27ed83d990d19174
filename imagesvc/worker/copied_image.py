"""The image that a copy into another region reads: whoever asked for it has to see it still."""

from imagesvc import errors
from imagesvc.db import image_disk
from imagesvc.domain.image import Image, ImageDisk
from imagesvc.worker import image_sight
from imagesvc.worker.flow import StepContext


def source(ctx: StepContext) -> tuple[Image, tuple[ImageDisk, ...]]:
    """Image and disks, if the caller still may have its bytes. Raises ImageGone, Forbidden."""
    image = image_sight.visible(ctx, ctx.job.image_id or "")
    with ctx.service.database.read() as conn:
        disks = image_disk.list_for(conn, image.id)
    if not disks:
        raise errors.ImageGone(image_id=image.id)
    ctx.service.region.copies.check(ctx.caller, image)
    return image, tuple(sorted(disks, key=lambda disk: disk.index))
