"""An image as the source of something new: whether it may be used just now."""

from imagesvc import errors
from imagesvc.domain.image import Image
from imagesvc.domain.state import ImageStatus
from imagesvc.errors import Reason
from imagesvc.manager import image_bytes


def require_usable(image: Image, event: str) -> None:
    """Raise Forbidden (IMAGE_DEACTIVATED), StateConflict unless active, Conflict for bytes elsewhere,
    InvalidRequest for a container.
    """
    if image.status == ImageStatus.DEACTIVATED:
        raise errors.Forbidden("The image is deactivated.", reason=Reason.IMAGE_DEACTIVATED)
    if image.status != ImageStatus.ACTIVE:
        raise errors.StateConflict(
            noun="image", id=image.id, status=image.status, event=event, allowed="active"
        )
    image_bytes.require_own(image)
    image_bytes.require_bare(image)
