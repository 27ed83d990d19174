"""Bytes that an import brought become part of their image, and the image shows how far it is."""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from imagesvc import errors
from imagesvc.db import foreign_location, image_disk, pending
from imagesvc.db import image as image_rows
from imagesvc.db import location as location_rows
from imagesvc.domain import image_import, image_property, promise
from imagesvc.domain.image import Image, ImageDisk, ImageKind
from imagesvc.domain.image_property import Change, Limits
from imagesvc.domain.job import Job, JobType
from imagesvc.domain.state import ImageStatus
from imagesvc.manager import image_bytes
from imagesvc.manager.guest import GuestManager
from imagesvc.manager.image import write_update
from imagesvc.manager.quota import QuotaManager

# What shows how far an import is, or which stores it failed at.
MARKS = (image_import.TASK, image_import.IMPORTING, image_import.FAILED)
_WHOLE = frozenset({ImageStatus.ACTIVE, ImageStatus.DEACTIVATED})
# Jobs that only our own API starts.
_OWN = frozenset(
    {
        JobType.IMPORT_UPLOAD,
        JobType.CREATE_FROM_URL,
        JobType.CREATE_FROM_BUCKET,
        JobType.CREATE_FROM_OVA,
        JobType.IMPORT_OVA,
        JobType.RECEIVE_IMAGE,
        JobType.SYNC_CATALOG,
    }
)


def arrive(
    conn: Any,
    quotas: QuotaManager,
    job: Job,
    disk: ImageDisk,
    places: Mapping[str, str],
    guests: GuestManager,
    limits: Limits,
) -> None:
    """The image gets these places (store id -> key), those that it has already left out.

    The first of them make an importing image active, with the properties that the operator gives to
    imports, and with what was found on the disk if he lets it; an image that was at foreign URLs
    leaves them. In a transaction that holds the job's row; called twice is no error. A place whose note is gone is nobody's to add: it was removed from
    the image since, or the reaper has it. Raises ImageGone, QuotaExceeded, TooLarge for more properties than there
    may be.
    """
    image = image_rows.get(conn, job.image_id or "", lock=True)
    if image is None:
        raise errors.ImageGone(image_id=job.image_id)
    # Notes before the quota, which is always locked last.
    new = tuple(
        (store, key)
        for store, key in places.items()
        if store not in image.stores and pending.remove(conn, store, key)
    )
    if not new:
        if places and image.status == ImageStatus.IMPORTING:
            raise errors.ImageGone(image_id=job.image_id)
        return
    if image.status == ImageStatus.IMPORTING:
        _inject(conn, job, image, limits)
        guests.fill(conn, image.id, disk, own=job.type in _OWN)
        first = dataclasses.replace(disk, locations=new)
        owner = image_bytes.publish(conn, image.id, first, "import_done")
        quotas.settle(conn, (job.id,), owner, stored_bytes=disk.size_bytes)
    elif image.status in _WHOLE:
        if image.foreign_store is not None:
            _take_in(conn, quotas, job, image, dataclasses.replace(disk, locations=new))
            return
        for place in new:
            image_bytes.require_places(
                conn, image.id, (dataclasses.replace(disk, locations=(place,)),)
            )
            location_rows.add(conn, image.id, disk.index, *place)
    else:
        raise errors.ImageGone(image_id=job.image_id)


def assemble(
    conn: Any,
    quotas: QuotaManager,
    job: Job,
    disks: tuple[ImageDisk, ...],
    guests: GuestManager,
    limits: Limits,
) -> None:
    """The image gets all these disks at once and is active; of several it is of a whole machine.

    In a transaction that holds the job's row. Raises ImageGone, QuotaExceeded, TooLarge for more
    properties than there may be.
    """
    image = image_rows.get(conn, job.image_id or "", lock=True)
    noted = [pending.remove(conn, *disk.locations[0]) for disk in disks]
    if image is None or image.status != ImageStatus.IMPORTING or not all(noted):
        raise errors.ImageGone(image_id=job.image_id)
    _inject(conn, job, image, limits)
    guests.fill(conn, image.id, disks[0], own=job.type in _OWN)
    if len(disks) > 1:
        image_rows.update(conn, image.id, {"kind": ImageKind.WHOLE_MACHINE})
    owner = image_bytes.publish(conn, image.id, disks[0], "import_done", others=disks[1:])
    stored_bytes = sum(disk.size_bytes for disk in disks)
    quotas.settle(conn, (job.id,), owner, stored_bytes=stored_bytes)


def _take_in(conn: Any, quotas: QuotaManager, job: Job, image: Image, disk: ImageDisk) -> None:
    """What was at foreign URLs is the image's own from now on."""
    foreign_location.clear(conn, image.id)
    image_bytes.require_places(conn, image.id, (disk,))
    image_disk.insert_disk(conn, image.id, disk)
    image_rows.update(conn, image.id, image_bytes.facts_of(disk))
    quotas.settle(conn, (job.id,), image.owner, stored_bytes=disk.size_bytes)


def mark(conn: Any, job: Job, importing: Iterable[str], failed: Iterable[str]) -> None:
    """Show which stores are to come and which failed. Raises ImageGone."""
    image = image_rows.get(conn, job.image_id or "", lock=True)
    if image is None:
        raise errors.ImageGone(image_id=job.image_id)
    marks = image_import.marks(job.id, importing, failed)
    image_rows.set_properties(conn, image.id, marks)


def unmark(conn: Any, job: Job, failed: Iterable[str]) -> None:
    """The import is over; the lists stay, as clients look at them afterwards."""
    mark(conn, job, (), failed)
    image_rows.set_properties(conn, job.image_id or "", {}, {image_import.TASK})


def _inject(conn: Any, job: Job, image: Image, limits: Limits) -> None:
    # A promise is its owner's to give: what is said of all imports gives none, and ends none.
    given = promise.without(job.args.get("properties", {}))
    changes = tuple(Change("add", ("properties", name), given[name]) for name in sorted(given))
    if changes:
        write_update(conn, image.id, image_property.apply(image, changes, limits))
