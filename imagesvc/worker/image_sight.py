"""Images that jobs read: whoever asked for the job has to see them still."""

from imagesvc import errors
from imagesvc.db import image as image_rows
from imagesvc.domain.image import Image
from imagesvc.policy import visibility
from imagesvc.worker.flow import StepContext


def visible(ctx: StepContext, image_id: str) -> Image:
    """The image. Raises ImageGone if it was deleted, or the caller sees it no more."""
    with ctx.service.database.read() as conn:
        image = image_rows.get(conn, image_id, visibility.predicate(ctx.caller))
    if image is None:
        raise errors.ImageGone(image_id=image_id)
    return image
