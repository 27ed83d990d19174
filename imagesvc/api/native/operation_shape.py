"""How it is said what a route takes and gives, and what many routes say alike."""

import dataclasses
from typing import Any

from imagesvc import errors
from imagesvc.api.native import query
from imagesvc.errors import Reason
from imagesvc.interface import errors as driver

Raised = type[Exception] | tuple[type[Exception], Reason]
Schema = dict[str, Any]

OCTETS = "application/octet-stream"
TEXT: Schema = {"type": "string"}
COUNT: Schema = {"type": "string", "pattern": "^[0-9]{1,18}$"}
_ID: Schema = {"type": "string", "minLength": 1}
PATH: dict[str, tuple[Schema, str]] = {
    "server_id": (_ID, "Id of a server."),
    "node_id": (_ID, "Id of a bare-metal node."),
    "volume_id": (_ID, "Id of a volume."),
    "backup_id": (_ID, "Id of a backup."),
    "job_id": (_ID, "Id of a job."),
    "image_id": (_ID, "Id of an image."),
    "family": (_ID, "Name of a family."),
    "upload_id": (_ID, "Id of an upload."),
    "project_id": (_ID, "Id of a project."),
    "agency_id": (_ID, "Id of an agency."),
    "request_token": (_ID, "Name that the other region gave the image."),
    "object_store_id": (_ID, "Id of an object store."),
    "key_id": (_ID, "Id of a key of the KMS."),
    "disk": ({"type": "string", "pattern": "^[0-9]{1,4}$"}, "Number of the disk; 0 is the first."),
}
# What answers that use a deprecated image say of it.
GIVEN = ("Deprecation", "Link")
MARKER = {"marker": TEXT}
LIMIT: dict[str, Schema] = {
    "limit": {
        "type": "integer",
        "minimum": 1,
        "default": query.LIMIT_DEFAULT,
        "description": f"Most entries of the page; above {query.LIMIT_MAX} means that.",
    }
}
PAGE = MARKER | LIMIT
NUMBER: Schema = {"type": "integer", "minimum": 0, "maximum": 10**query.INTEGER_DIGITS_MAX - 1}


@dataclasses.dataclass(frozen=True, slots=True)
class Operation:
    """One method of one route.

    `answer` is a struct, a media type for bytes, or None for no body. `body` likewise; bytes
    are at most `body_bytes_max`. `raises` adds to what any request may come to.
    """

    answer: Any = None
    status: int = 200
    query: dict[str, Schema] = dataclasses.field(default_factory=dict)
    headers: tuple[str, ...] = ()
    body: Any = None
    body_bytes_max: int = 0
    raises: tuple[Raised, ...] = ()
    gives: tuple[str, ...] = ()
    also: dict[int, Any] = dataclasses.field(default_factory=dict)


# What every request may come to; without a token the second part is left out.
ALWAYS: tuple[Raised, ...] = (
    errors.InvalidRequest,
    (errors.InvalidRequest, Reason.BODY_TOO_LARGE),
    errors.ImagesvcError,
    driver.Unavailable,
    driver.Timeout,
)
CALLER: tuple[Raised, ...] = (errors.Unauthorized, errors.Forbidden)

DRIVER: tuple[Raised, ...] = (
    driver.DriverError, driver.NoSpace, driver.AccessDenied, driver.Busy, errors.BackendFailed,
)  # fmt: skip
START: tuple[Raised, ...] = (
    errors.BackendNotFound, errors.Conflict, (errors.InvalidRequest, Reason.MEDIA_TYPE), *DRIVER,
)  # fmt: skip
