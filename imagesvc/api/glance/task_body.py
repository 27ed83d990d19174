"""What a caller sends to make a task: an import that makes its image as well."""

from typing import Annotated, Any

import msgspec

from imagesvc import errors
from imagesvc.api import validate
from imagesvc.api.glance import image_body
from imagesvc.domain.image import NewImage
from imagesvc.domain.task import TaskRequest, TaskType


class TaskBody(msgspec.Struct, forbid_unknown_fields=True):
    """Body of a task that is made; its status is the service's to say."""

    type: str
    input: dict[str, Any]


class InputBody(msgspec.Struct, forbid_unknown_fields=True):
    """What an import needs: a URL, the format of its bytes, and the image to be."""

    import_from: Annotated[str, msgspec.Meta(min_length=1, max_length=8192)]
    import_from_format: Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
    image_properties: dict[str, Any]


def parse(document: Any) -> tuple[TaskRequest, NewImage]:
    """Judge a body. Raises InvalidRequest, Forbidden for names that only the service writes."""
    body = validate.struct(document, TaskBody)
    if body.type != TaskType.IMPORT:
        raise errors.InvalidRequest(
            "A task that is made here must be of type import; other imports begin at their image: "
            "POST to /v2/images/ID/import or /v2/images/ID/locations."
        )
    given = validate.struct(body.input, InputBody)
    named = given.image_properties.get("disk_format", given.import_from_format)
    if named != given.import_from_format:
        raise errors.InvalidRequest(
            "The bytes are not converted: disk_format must be that of import_from_format."
        )
    formats = {"container_format": "bare", "disk_format": given.import_from_format}
    image = image_body.new_image({**formats, **given.image_properties})
    return TaskRequest(given.import_from, given.import_from_format, given.image_properties), image
