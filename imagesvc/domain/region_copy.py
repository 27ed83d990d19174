"""Copies of images into other regions: what a caller asks for, and what goes over the wire."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from imagesvc import errors
from imagesvc.domain import image_property
from imagesvc.domain.image import Image, ImageDisk


@dataclasses.dataclass(frozen=True, slots=True)
class RegionCopyRequest:
    """`project` is the id or name of the target project there. What is None is as in the source.

    `target_image_id` is the id that the image shall have there; None: a fresh one. `key_id` is a
    key of the target project there, under which the bytes are to be encrypted.
    """

    image_id: str
    region: str
    project: str
    name: str | None = None
    description: str | None = None
    target_image_id: str | None = None
    key_id: str | None = None

    def arguments(self) -> dict[str, Any]:
        """What a job keeps of it."""
        kept = dataclasses.asdict(self)
        del kept["image_id"]
        return kept


def check_disks(image: Image, disks: Sequence[ImageDisk]) -> None:
    """Raise NoContent without bytes, Conflict for bytes without a digest to hold them against."""
    if not disks:
        raise errors.NoContent(image_id=image.id)
    for disk in disks:
        if not (disk.hash_algorithm and disk.hash_value):
            raise errors.Conflict(
                "Disk {disk} of image {image_id} has no digest; nobody could say that the copy is "
                "right.",
                disk=disk.index,
                image_id=image.id,
            )


def document(image: Image, disks: Sequence[ImageDisk], args: Mapping[str, Any]) -> dict[str, Any]:
    """What the other region is told of the image; what is said of it alone is left out."""
    facts = image_property.facts_of(image)
    if args["description"] is not None:
        facts["description"] = args["description"]
    kept = {
        name: value
        for name, value in image.properties.items()
        if not name.startswith(image_property.OWN_PREFIXES)
        and name not in image_property.RESERVED_PROPERTIES
    }
    return {
        "source_image_id": image.id,
        "image_id": args["target_image_id"],
        "key_id": args["key_id"],
        "name": image.name if args["name"] is None else args["name"],
        "kind": str(image.kind),
        "disk_format": image.disk_format,
        "container_format": image.container_format,
        "min_disk_gib": image.min_disk_gib,
        "min_ram_mib": image.min_ram_mib,
        "tags": list(image.tags),
        "properties": {**kept, **facts},
        "disks": [
            {
                "index": disk.index,
                "role": disk.role,
                "disk_format": disk.disk_format,
                "size_bytes": disk.size_bytes,
                "hash_algorithm": disk.hash_algorithm,
                "hash_value": disk.hash_value,
            }
            for disk in sorted(disks, key=lambda disk: disk.index)
        ],
    }
