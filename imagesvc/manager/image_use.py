"""An image as the source of something new: whether it may be used just now."""

from typing import Any

from imagesvc import errors
from imagesvc.context import RequestContext
from imagesvc.db import image_key
from imagesvc.domain.encryption_key import ImageKey
from imagesvc.domain.image import Image
from imagesvc.domain.state import IMAGE_READABLE, ImageStatus
from imagesvc.errors import Reason
from imagesvc.manager import image_bytes
from imagesvc.policy.check import Enforcer


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


def require_readable(enforcer: Enforcer, ctx: RequestContext, image: Image) -> None:
    """Whether the caller may have the bytes.

    Raises Forbidden (also IMAGE_DEACTIVATED), NoContent, Conflict for bytes that are elsewhere.
    """
    enforcer.authorize(ctx, "image_file:download", image)
    if image.status not in IMAGE_READABLE:
        raise errors.NoContent(image_id=image.id)
    if image.status == ImageStatus.DEACTIVATED and not enforcer.allows(
        ctx, "image_file:download_deactivated", image
    ):
        raise errors.Forbidden("The image is deactivated.", reason=Reason.IMAGE_DEACTIVATED)
    image_bytes.require_own(image)


def require_key(conn: Any, ctx: RequestContext, image: Image) -> ImageKey | None:
    """How the caller's project opens an encrypted image; None for a plain one.

    Raises Forbidden (KEY_MISSING) if it cannot. Whether its key works just now only the KMS knows, who is asked before any byte moves.
    """
    if not image.encrypted:
        return None
    found = image_key.get(conn, image.id, ctx.project_id or "")
    if found is None:
        raise errors.Forbidden(
            "Image {image_id} is encrypted, and your project has no key that opens it: only its "
            "owner can offer it to your project.",
            image_id=image.id,
            reason=Reason.KEY_MISSING,
        )
    return found
