"""An image that another service wrote here becomes the bytes of one that a job makes."""

import itertools

from imagesvc import errors
from imagesvc.db import doomed, image_disk, pending
from imagesvc.db import image as image_rows
from imagesvc.db import job as job_rows
from imagesvc.domain import promise
from imagesvc.domain.image import Image, ImageDisk, Visibility
from imagesvc.domain.image_property import MARKS, RESERVED_PREFIX, Limits, facts_of
from imagesvc.domain.state import ImageStatus
from imagesvc.manager import job_token
from imagesvc.manager.operation import Step
from imagesvc.manager.quota import QuotaManager

# What this service, or its owner, says of that record alone.
NOT_INHERITED = (MARKS, RESERVED_PREFIX, *promise.NAMES)
_OWN = (Visibility.PRIVATE, Visibility.SHARED)


def usable_disk(image: Image | None, disks: tuple[ImageDisk, ...], owner: str) -> ImageDisk | None:
    """The one disk of an active image of `owner`, whose bytes are known; None for any other.

    Only of an image as a driver's service writes one: what its owner has since packed otherwise, or
    shown to everybody, is read like any snapshot.
    """
    if image is None or image.owner != owner or image.status != ImageStatus.ACTIVE:
        return None
    if image.container_format != "bare" or image.visibility not in _OWN:
        return None
    if len(disks) != 1 or not (disks[0].locations and disks[0].hash_value):
        return None
    return disks[0]


def take(op: Step, quotas: QuotaManager, owner: str, hash_value: str) -> tuple[Image, ImageDisk]:
    """Delete the record `op.target_id` but not its bytes, which are the caller's from now on.

    The caller makes them a disk of another image in the same transaction, so that a death leaves
    the one or the other. Raises ImageGone if it is not what it was, Forbidden if it is protected,
    ImagePromised.
    """
    conn, image_id = op.conn, op.target_id
    # Before the image, as whoever ends a job does.
    held = job_rows.hold_for_image(conn, image_id)
    image = image_rows.get(conn, image_id, lock=True)
    disk = usable_disk(image, image_disk.list_for(conn, image_id), owner)
    if image is None or disk is None or disk.hash_value != hash_value:
        raise errors.ImageGone(image_id=image_id)
    op.owner = image.owner
    image_rows.transition(conn, image_id, "delete", action="image:delete")
    _, size_bytes = image_disk.delete_for(conn, image_id)
    ended = job_rows.cancel_for_image(conn, image_id, held)
    job_token.forget(conn, *ended)
    if ended:
        doomed.add_all(conn, pending.take(conn, ended))
    quotas.settle(conn, ended, image.owner, images=-1, stored_bytes=-size_bytes)
    return image, disk


def inherit(op: Step, image_id: str, before: Image, limits: Limits) -> None:
    """Give the image what the record said of its bytes, where it says nothing itself.

    As many properties as it may have; what this service writes of an image, and what is promised of it, is not handed on.
    """
    image = image_rows.get(op.conn, image_id)
    if image is None:
        raise errors.ImageGone(image_id=image_id)
    new = {
        name: value
        for name, value in before.properties.items()
        if name not in image.properties and not name.startswith(NOT_INHERITED)
    }
    if limits.properties >= 0:
        own = sum(not name.startswith(RESERVED_PREFIX) for name in image.properties)
        room = max(0, limits.properties - own - len(facts_of(image)))
        new = dict(itertools.islice(new.items(), room))
    image_rows.set_properties(op.conn, image_id, new, ())
    values = {
        "min_disk_gib": max(image.min_disk_gib, before.min_disk_gib),
        "min_ram_mib": max(image.min_ram_mib, before.min_ram_mib),
    }
    image_rows.update(op.conn, image_id, values)
