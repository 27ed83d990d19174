"""Which images may become which disks of servers, and which backends can take them."""

from typing import Any

from imagesvc import errors
from imagesvc.context import RequestContext
from imagesvc.domain.image import Image, ImageKind
from imagesvc.interface import compute
from imagesvc.interface.compute import ComputeCapability
from imagesvc.interface.errors import NotSupported
from imagesvc.manager import image_use
from imagesvc.manager.image import visible_image
from imagesvc.policy.check import Enforcer

_BOOTS = frozenset({ImageKind.SYSTEM_DISK, ImageKind.WHOLE_MACHINE})


def readable_image(conn: Any, ctx: RequestContext, enforcer: Enforcer, image_id: str) -> Image:
    """An image whose bytes the caller may read. Raises ImageNotFound, Forbidden."""
    image = visible_image(conn, ctx, image_id)
    enforcer.authorize(ctx, "image_file:download", image)
    image_use.require_key(conn, ctx, image)
    return image


def require_system(image: Image, event: str, memory_mib: int | None = None) -> None:
    """Raise what stands against booting from it; for a server of so much memory if that is known.

    Raises Forbidden (IMAGE_DEACTIVATED), StateConflict if it is not active, InvalidRequest.
    """
    image_use.require_usable(image, event)
    if image.kind not in _BOOTS:
        raise errors.InvalidRequest(
            "Image {image_id} is of a data disk; no server boots from it.", image_id=image.id
        )
    if memory_mib is not None and memory_mib < image.min_ram_mib:
        raise errors.InvalidRequest(
            f"memory_mib must be at least {image.min_ram_mib} for this image."
        )


def require_disk(image: Image, event: str) -> None:
    """Raise what stands against its being one disk; as `require_system`."""
    image_use.require_usable(image, event)
    if image.kind == ImageKind.WHOLE_MACHINE:
        raise errors.InvalidRequest(
            "Image {image_id} is of a whole machine; name an image of one disk.", image_id=image.id
        )


def require_capability(
    driver: compute.ComputeDriver, capability: ComputeCapability, lack: str
) -> None:
    """Raise NotSupported with the text `lack` if the backend does not offer it."""
    if capability not in driver.info().capabilities:
        raise NotSupported(lack)


def require_data_disks(driver: compute.ComputeDriver) -> None:
    """Raise NotSupported if servers of the backend have no data disks from images."""
    if not compute.makes_data_disks(driver):
        raise NotSupported("This compute backend makes servers with a system disk alone.")
