"""What each route takes and gives: the table from which the API's description is made."""

import dataclasses
from typing import Any

from imagesvc import errors
from imagesvc.api.native import answer as answers
from imagesvc.api.native import (
    baremetal,
    capture,
    image_csv,
    job,
    query,
    quota,
    server,
    server_console,
    upload_header,
    upload_view,
    volume,
)
from imagesvc.api.native import disk_answer as disk_answers
from imagesvc.errors import Reason
from imagesvc.interface import errors as driver
from imagesvc.manager.operation import OUTCOMES

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
    "job_id": (_ID, "Id of a job."),
    "image_id": (_ID, "Id of an image."),
    "upload_id": (_ID, "Id of an upload."),
    "project_id": (_ID, "Id of a project."),
    "disk": ({"type": "string", "pattern": "^[0-9]{1,4}$"}, "Number of the disk; 0 is the first."),
}
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
COMPUTE: dict[str, Schema] = {
    "compute_id": {"type": "string", "description": "The compute backend; without it, any."}
}
VOLUME_BACKEND: dict[str, Schema] = {
    "backend_id": {"type": "string", "description": "The volume backend; without it, all."}
}
_MOMENT: Schema = {"type": "string", "format": "date-time"}
_NUMBER: Schema = {"type": "integer", "minimum": 0, "maximum": 10**query.INTEGER_DIGITS_MAX - 1}


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

_DRIVER: tuple[Raised, ...] = (
    driver.DriverError, driver.NoSpace, driver.AccessDenied, driver.Busy, errors.BackendFailed,
)  # fmt: skip
_SERVER: tuple[Raised, ...] = (errors.ServerNotFound, errors.BackendNotFound, *_DRIVER)
_VOLUME: tuple[Raised, ...] = (errors.VolumeNotFound, errors.BackendNotFound, *_DRIVER)
_NODE: tuple[Raised, ...] = (errors.NodeNotFound, errors.BackendNotFound, *_DRIVER)
_JOB: tuple[Raised, ...] = (errors.JobNotFound,)
_PROJECT: tuple[Raised, ...] = (errors.ProjectNotFound, (errors.InvalidRequest, Reason.MEDIA_TYPE))
_BYTES: tuple[Raised, ...] = (
    errors.ImageNotFound, errors.DiskNotFound, errors.NoContent, errors.ImageDamaged,
    errors.Forbidden, driver.IntegrityError,
    errors.Overloaded, (errors.InvalidRequest, Reason.RANGE), *_DRIVER,
)  # fmt: skip
_START: tuple[Raised, ...] = (
    errors.BackendNotFound, errors.Conflict, (errors.InvalidRequest, Reason.MEDIA_TYPE), *_DRIVER,
)  # fmt: skip
_FILE = Operation(
    OCTETS, raises=_BYTES, headers=("Range", "If-Range", "If-None-Match"),
    also={206: OCTETS, 304: None}, gives=("Accept-Ranges", "ETag"),
)  # fmt: skip
_FILE_HEAD = dataclasses.replace(_FILE, headers=("If-None-Match",), also={304: None})
_SIGNED: dict[str, Schema] = {"expires": _NUMBER, "signature": TEXT}
_AUDIT_FILTERS: dict[str, Schema] = {
    "project_id": TEXT, "user_id": TEXT, "target_id": TEXT, "action": TEXT,
    "outcome": {"type": "string", "enum": list(OUTCOMES)}, "since": _MOMENT, "until": _MOMENT,
}  # fmt: skip

_TUS_VERSION = (errors.InvalidRequest, Reason.TUS_VERSION)
_UPLOAD: tuple[Raised, ...] = (errors.UploadNotFound, _TUS_VERSION)
_TUS = ("Tus-Resumable", "Upload-Offset", "Upload-Expires", "X-Job-Id")
_SENT: tuple[Raised, ...] = (
    errors.UploadNotFound, _TUS_VERSION, errors.ImageNotFound, errors.ImageGone, errors.Conflict,
    (errors.Conflict, Reason.OFFSET), errors.UploadBusy, errors.StateConflict,
    errors.QuotaExceeded, (errors.InvalidRequest, Reason.MEDIA_TYPE),
    (errors.InvalidRequest, Reason.CHECKSUM), (errors.InvalidRequest, Reason.CLIENT_SLOW),
    (errors.InvalidRequest, Reason.SIZE_CAP), (errors.InvalidRequest, Reason.FORMAT_MISSING),
    errors.Overloaded, driver.Discarded, *_DRIVER,
)  # fmt: skip

_CSV: dict[str, Schema] = {
    name: TEXT | ({"enum": list(values)} if values else {})
    for name, values in image_csv.FILTERS.items()
}

OPERATIONS: dict[str, dict[str, Operation]] = {
    "/servers": {
        "GET": Operation(
            answers.ServerPage, query=PAGE | COMPUTE, raises=(errors.BackendNotFound, *_DRIVER)
        ),
        "POST": Operation(
            answers.OneJob, 202, body=server.NewServers, headers=("Idempotency-Key",),
            raises=(errors.ImageNotFound, errors.StateConflict, *_START),
        ),
    },
    "/servers/{server_id}": {
        "GET": Operation(answers.OneServer, query=COMPUTE, raises=_SERVER),
        "DELETE": Operation(status=204, query=COMPUTE, raises=_SERVER),
    },
    "/servers/{server_id}/start": {"POST": Operation(status=204, query=COMPUTE, raises=_SERVER)},
    "/servers/{server_id}/stop": {"POST": Operation(status=204, query=COMPUTE, raises=_SERVER)},
    "/servers/{server_id}/console": {
        "GET": Operation(
            OCTETS, query={"offset": _NUMBER} | COMPUTE, raises=_SERVER, gives=("X-Next-Offset",)
        ),
        "POST": Operation(
            status=204, query=COMPUTE, body=OCTETS, body_bytes_max=server_console.WRITE_BYTES_MAX,
            raises=(driver.NotSupported, *_SERVER),
        ),
    },
    "/servers/{server_id}/volumes": {
        "POST": Operation(
            disk_answers.OneVolume, body=volume.NewAttachment,
            raises=(
                errors.ServerNotFound, driver.NotSupported,
                (errors.InvalidRequest, Reason.MEDIA_TYPE), *_VOLUME,
            ),
        ),
    },
    "/servers/{server_id}/volumes/{volume_id}": {
        "DELETE": Operation(status=204, raises=(errors.AttachmentNotFound, *_VOLUME)),
    },
    "/volumes": {
        "GET": Operation(
            disk_answers.VolumePage, query=PAGE | VOLUME_BACKEND,
            raises=(errors.BackendNotFound, *_DRIVER),
        ),
        "POST": Operation(
            answers.OneJob, 202, body=volume.NewVolumes, headers=("Idempotency-Key",),
            raises=(errors.ImageNotFound, errors.DiskNotFound, errors.StateConflict, *_START),
        ),
    },
    "/volumes/{volume_id}": {
        "GET": Operation(disk_answers.OneVolume, raises=_VOLUME),
        "DELETE": Operation(status=204, raises=_VOLUME),
    },
    "/nodes": {
        "GET": Operation(disk_answers.NodePage, query=PAGE, raises=(errors.BackendNotFound, *_DRIVER)),
    },
    "/nodes/{node_id}": {"GET": Operation(disk_answers.OneNode, raises=_NODE)},
    "/nodes/{node_id}/deploy": {
        "POST": Operation(
            answers.OneJob, 202, body=baremetal.NewDeployment, headers=("Idempotency-Key",),
            raises=(
                errors.NodeNotFound, errors.ImageNotFound, errors.DiskNotFound,
                errors.StateConflict, *_START,
            ),
        ),
    },
    "/nodes/{node_id}/undeploy": {
        "POST": Operation(
            answers.OneJob, 202, headers=("Idempotency-Key",),
            raises=(errors.Conflict, *_NODE),
        ),
    },
    "/captures": {
        "POST": Operation(
            answers.Capture, 202, body=capture.NewCapture, headers=("Idempotency-Key",),
            raises=(
                errors.ServerNotFound, errors.VolumeNotFound, errors.NodeNotFound,
                errors.ImageNotFound, errors.TooLarge, driver.NotSupported, *_START,
            ),
        ),
    },
    "/jobs": {"GET": Operation(answers.JobPage, query=PAGE | job.FILTERS)},
    "/jobs/{job_id}": {"GET": Operation(answers.OneJob, raises=_JOB)},
    "/jobs/{job_id}/cancel": {
        "POST": Operation(answers.OneJob, 202, raises=(errors.StateConflict, *_JOB)),
    },
    "/jobs/{job_id}/retry": {
        "POST": Operation(
            answers.OneJob, 202, raises=(errors.StateConflict, errors.ImageNotFound, *_JOB)
        ),
    },
    "/uploads": {
        "OPTIONS": Operation(
            status=204, gives=("Tus-Version", "Tus-Extension", "Tus-Max-Size"),
        ),
        "GET": Operation(upload_view.UploadPage, query=PAGE),
        "POST": Operation(
            status=201, headers=(
                "Tus-Resumable", "Upload-Length", "Upload-Defer-Length", "Upload-Metadata",
                "Upload-Checksum",
            ),
            raises=(errors.DiskNotFound, errors.StoreReadOnly, errors.UnsupportedImage, *_SENT),
            gives=("Location", *_TUS),
        ),
    },
    "/uploads/{upload_id}": {
        "GET": Operation(upload_view.OneUpload, raises=(errors.UploadNotFound,)),
        "HEAD": Operation(
            headers=("Tus-Resumable",), raises=_UPLOAD,
            gives=("Upload-Length", "Upload-Defer-Length", "Upload-Metadata", *_TUS),
        ),
        "PATCH": Operation(
            status=204, body=upload_header.OCTETS, raises=_SENT, gives=("Location", *_TUS),
            headers=("Tus-Resumable", "Upload-Offset", "Upload-Length", "Upload-Checksum"),
        ),
        "DELETE": Operation(
            status=204, headers=("Tus-Resumable",), raises=(errors.Conflict, *_UPLOAD)
        ),
    },
    "/audit": {"GET": Operation(answers.AuditPage, query=PAGE | _AUDIT_FILTERS)},
    "/quota/{project_id}": {
        "GET": Operation(answers.OneQuota, raises=_PROJECT),
        "PUT": Operation(answers.OneQuota, body=quota.NewLimits, raises=_PROJECT),
    },
    "/backends": {"GET": Operation(answers.BackendList)},
    "/health": {"GET": Operation(answers.HealthList)},
    "/image.csv": {
        "GET": Operation(image_csv.MEDIA_TYPE, query=_CSV, headers=("Accept-Language",), raises=(errors.Overloaded,)),
    },
    "/images/{image_id}": {"GET": Operation(answers.OneImage, raises=(errors.ImageNotFound,))},
    "/images/{image_id}/disk/{disk}/file": {"GET": _FILE, "HEAD": _FILE_HEAD},
    "/signed/{image_id}/{disk}": {
        "GET": dataclasses.replace(_FILE, query=_SIGNED),
        "HEAD": dataclasses.replace(_FILE_HEAD, query=_SIGNED),
    },
    "/openapi.json": {"GET": Operation(dict[str, Any])},
    "/healthcheck": {"GET": Operation(answers.Live)},
    "/healthcheck/ready": {"GET": Operation(answers.Ready, also={503: answers.Ready})},
}  # fmt: skip
