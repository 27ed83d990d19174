"""What a caller sends about an image: the create body and the paths of a patch."""

import re
from typing import Any

from imagesvc import errors
from imagesvc.api.glance import image_view
from imagesvc.domain import encryption_key, image_property
from imagesvc.domain import image as image_domain
from imagesvc.errors import Reason

_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_WRITABLE = {
    name: image_view.FIELDS[name]
    for name in (
        "name", "visibility", "protected", "os_hidden", "owner", "container_format",
        "disk_format", "min_ram", "min_disk",
    )
}  # fmt: skip
# Names that are links or places, never extra properties.
_LINKS = frozenset({"self", "file", "schema", "direct_url", "locations", "stores"})


def new_image(body: dict[str, Any]) -> image_domain.NewImage:
    """Read a create body.

    Raises Forbidden for names that only the service writes, InvalidRequest for wrong values.
    """
    values: dict[str, Any] = {}
    properties: dict[str, str] = {}
    for name, value in body.items():
        if name in _WRITABLE:
            field = _WRITABLE[name]
            values[field] = image_property.check_field(field, value)
        elif name == "id":
            values["id"] = _image_id(value)
        elif name == "tags":
            values["tags"] = image_property.check_tags(value)
        elif name in image_property.FAMILY_NAMES:
            field = image_property.FAMILY_NAMES[name]
            values[field] = image_property.check_field(field, value)
        elif name == image_view.KEY_ID:
            values["key_id"] = _key_id(value)
        elif name in image_view.FIELDS or name in _LINKS:
            raise errors.Forbidden(f"{name} is read-only.", reason=Reason.READ_ONLY)
        else:
            properties[name] = image_property.check_property(name, value)
    return image_domain.NewImage(properties=properties, **values)


def translate(change: image_property.Change) -> image_property.Change:
    """A change on a name of Glance -> the same on a field or a free property."""
    name = change.path[0]
    if name == image_view.KEY_ID:
        raise errors.Forbidden(
            f"{name} is read-only: copy the image under another key.", reason=Reason.READ_ONLY
        )
    if name in image_property.FAMILY_NAMES and len(change.path) == 1:
        value = None if change.op == "remove" else change.value
        return image_property.Change("replace", (image_property.FAMILY_NAMES[name],), value)
    if name in _LINKS:
        field: tuple[str, ...] = (name,)
    elif len(change.path) > 1:
        raise errors.InvalidRequest("The path of an operation goes one step too deep.")
    elif name in image_view.FIELDS:
        field = (image_view.FIELDS[name],)
    else:
        field = ("properties", name)
    return image_property.Change(change.op, field, change.value, must_be_new=change.must_be_new)


def _image_id(value: Any) -> str:
    if not isinstance(value, str) or not _UUID.fullmatch(value):
        raise errors.InvalidRequest("id must be a UUID.")
    return value


def _key_id(value: Any) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= encryption_key.KEY_ID_LENGTH_MAX:
        raise errors.InvalidRequest(f"{image_view.KEY_ID} must be the id of a key.")
    return value
