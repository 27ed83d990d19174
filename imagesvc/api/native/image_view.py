"""An image's copies as JSON of our own API; pure functions."""

import dataclasses
from typing import Any

from imagesvc.api.native import catalog_answer, views
from imagesvc.domain import guest as guests
from imagesvc.manager import guest, image_detail

LOST = (
    "The image is damaged: a disk has no good copy, and its bytes are not given out. Restore it "
    "from a backup, or delete it."
)
FOREIGN = (
    "The image's bytes are at a foreign URL: they are unverified until they are read, may change or "
    "vanish, and nothing is made of them here. Copy it into a store by the import method copy-image."
)
LONE = "There is one good copy of the image's bytes: a fault of its store would be the end of them."


def image(entity: image_detail.ImageDetail) -> dict[str, Any]:
    """One image; `good_copies` counts those of the disk that has the fewest."""
    foreign = entity.image.foreign_store is not None
    return {
        "id": entity.image.id,
        "name": entity.image.name,
        "status": str(entity.image.status),
        "kind": str(entity.image.kind),
        "size_bytes": entity.image.size_bytes,
        "damaged": entity.good == 0,
        "good_copies": entity.good,
        "stores": list(
            dict.fromkeys(one.copy.store_id for disk in entity.disks for one in disk.copies)
        ),
        "foreign": foreign,
        "encrypted": entity.image.encrypted,
        "key_id": entity.image.key_id,
        "provided_until": views.time(entity.image.provided_until),
        "family": entity.image.family,
        "family_version": entity.image.family_version,
        "deprecated_at": views.time(entity.image.deprecated_at),
        "replacement_id": entity.replacement_id,
        "last_used_at": views.time(entity.life.last_used_at),
        "parent_image_id": entity.life.parent_image_id,
        "warnings": [
            *(text for good, text in ((0, LOST), (1, LONE)) if entity.good == good),
            *([FOREIGN] if foreign else []),
            *_deprecation(entity),
        ],
        "found": _found(entity),
        "provenance": catalog_answer.provenance(entity.provenance) if entity.provenance else None,
        "disks": [_disk(disk) for disk in entity.disks],
    }


def _deprecation(entity: image_detail.ImageDetail) -> list[str]:
    moment = entity.image.deprecated_at
    if moment is None:
        return []
    newest = f" Use {entity.replacement_id} instead." if entity.replacement_id else ""
    return [f"The image is deprecated from {views.time(moment)} on.{newest}"]


def _found(entity: image_detail.ImageDetail) -> dict[str, Any] | None:
    disk = next((one.disk for one in entity.disks), None)
    if disk is None:
        return None
    found = disk.guest or guests.Guest()
    return {
        **dataclasses.asdict(found),
        "min_disk_gib": guest.min_disk_gib(disk) or None,
        "differs": list(guest.differing(entity.image, found)),
    }


def _disk(entity: image_detail.DiskDetail) -> dict[str, Any]:
    return {
        "index": entity.disk.index,
        "role": entity.disk.role,
        "disk_format": entity.disk.disk_format,
        "size_bytes": entity.disk.size_bytes,
        "virtual_size_bytes": entity.disk.virtual_size_bytes,
        "good_copies": entity.good,
        "copies": [_copy(one) for one in entity.copies],
    }


def _copy(entity: image_detail.CopyDetail) -> dict[str, Any]:
    return {
        "store": entity.copy.store_id,
        "number": entity.copy.number,
        "good": entity.damage is None,
        "fault": entity.damage.fault if entity.damage else None,
        "found_at": views.time(entity.damage.found_at) if entity.damage else None,
    }
