"""Image -> Glance JSON, and the names of the dialect."""

import datetime
import operator
from typing import Any

from imagesvc.backend.store import Stores
from imagesvc.domain import image as image_domain
from imagesvc.domain import image_property

# The key of the KMS under which an image is encrypted: given when it is made, and never changed.
KEY_ID = "imagesvc_key_id"
# Glance's name of each field of an image.
FIELDS = {
    "id": "id",
    "name": "name",
    "status": "status",
    "visibility": "visibility",
    "protected": "protected",
    "os_hidden": "hidden",
    "owner": "owner",
    "checksum": "md5",
    "os_hash_algo": "hash_algorithm",
    "os_hash_value": "hash_value",
    "size": "size_bytes",
    "virtual_size": "virtual_size_bytes",
    "container_format": "container_format",
    "disk_format": "disk_format",
    "min_disk": "min_disk_gib",
    "min_ram": "min_ram_mib",
    "created_at": "created_at",
    "updated_at": "updated_at",
    "tags": "tags",
}

_values = operator.attrgetter(*FIELDS.values())


def time(moment: datetime.datetime) -> str:
    """A UTC time in whole seconds."""
    return moment.isoformat(timespec="seconds")[:19] + "Z"


def path(image_id: str) -> str:
    """The path of an image."""
    return f"/v2/images/{image_id}"


def render(image: image_domain.Image, stores: Stores) -> dict[str, Any]:
    """One image; extra properties stand flat beside the base ones.

    Which of `stores` hold it is told where there are several, the best first.
    """
    view: dict[str, Any] = {**image_property.facts_of(image), **image.properties}
    view.update(zip(FIELDS, _values(image), strict=True))
    view["created_at"] = time(image.created_at)
    view["updated_at"] = time(image.updated_at)
    view["tags"] = sorted(image.tags)
    view["self"] = path(image.id)
    view["file"] = path(image.id) + "/file"
    view["schema"] = "/v2/schemas/image"
    for name, field in image_property.FAMILY_NAMES.items():
        value = getattr(image, field)
        if value is not None:
            view[name] = time(value) if isinstance(value, datetime.datetime) else value
    if image.key_id is not None:
        view[KEY_ID] = image.key_id
    if stores.several and (image.stores or image.foreign_store):
        view["stores"] = ",".join(stores.order(image.stores)) or image.foreign_store
    return view
