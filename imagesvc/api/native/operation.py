"""What each route takes and gives: the table from which the API's description is made."""

import dataclasses
from typing import Any

from imagesvc import errors
from imagesvc.api.native import answer as answers
from imagesvc.api.native import (
    copy,
    image_answer,
    image_csv,
    job,
    operation_catalog,
    operation_family,
    operation_foreign,
    operation_image,
    operation_key,
    operation_machine,
    operation_region,
    quota,
    upload_header,
    upload_view,
)
from imagesvc.api.native.operation_shape import (
    DRIVER,
    GIVEN,
    NUMBER,
    OCTETS,
    PAGE,
    TEXT,
    Operation,
    Raised,
    Schema,
)
from imagesvc.errors import Reason
from imagesvc.interface import errors as driver
from imagesvc.manager.operation import OUTCOMES

_MOMENT: Schema = {"type": "string", "format": "date-time"}
_JOB: tuple[Raised, ...] = (errors.JobNotFound,)
_PROJECT: tuple[Raised, ...] = (errors.ProjectNotFound, (errors.InvalidRequest, Reason.MEDIA_TYPE))
_BYTES: tuple[Raised, ...] = (
    errors.ImageNotFound, errors.DiskNotFound, errors.NoContent, errors.ImageDamaged,
    errors.Forbidden, driver.IntegrityError,
    errors.Overloaded, (errors.InvalidRequest, Reason.RANGE), *DRIVER,
)  # fmt: skip
_FILE = Operation(
    OCTETS, raises=_BYTES, headers=("Range", "If-Range", "If-None-Match"),
    also={206: OCTETS, 304: None}, gives=("Accept-Ranges", "ETag"),
)  # fmt: skip
_COPY: tuple[Raised, ...] = (
    errors.ImageNotFound, errors.NoContent, errors.ImageDamaged, errors.Conflict,
    errors.TooLarge, errors.QuotaExceeded, errors.StoreReadOnly,
    (errors.InvalidRequest, Reason.MEDIA_TYPE), (errors.InvalidRequest, Reason.STORE_UNKNOWN),
    (errors.InvalidRequest, Reason.KEY_MISSING), errors.KeyNotFound, errors.BackendNotFound,
    driver.KeyUnavailable, *DRIVER,
)  # fmt: skip
_FILE_HEAD = dataclasses.replace(_FILE, headers=("If-None-Match",), also={304: None})
_SIGNED: dict[str, Schema] = {"job": TEXT, "expires": NUMBER, "signature": TEXT}
_SIGNED_BACKUP: dict[str, Schema] = {"backend_id": TEXT, "project_id": TEXT, **_SIGNED}
_BACKUP_BYTES: tuple[Raised, ...] = (
    errors.BackupNotFound, errors.BackendNotFound, errors.Forbidden, errors.Overloaded,
    (errors.InvalidRequest, Reason.RANGE), *DRIVER,
)  # fmt: skip
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
    errors.Overloaded, driver.Discarded, *DRIVER,
)  # fmt: skip

_CSV: dict[str, Schema] = {
    name: TEXT | ({"enum": list(values)} if values else {})
    for name, values in image_csv.FILTERS.items()
}

OPERATIONS: dict[str, dict[str, Operation]] = {
    **operation_machine.OPERATIONS,
    **operation_family.OPERATIONS,
    **operation_foreign.OPERATIONS,
    **operation_key.OPERATIONS,
    **operation_region.OPERATIONS,
    **operation_catalog.OPERATIONS,
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
    **operation_image.OPERATIONS,
    "/images/{image_id}/impact": {
        "GET": Operation(
            image_answer.OneImpact, raises=(errors.ImageNotFound, errors.Forbidden)
        )
    },
    "/images/{image_id}/explain": {
        "GET": Operation(
            image_answer.OneExplanation,
            query={"project": TEXT, "roles": TEXT},
            raises=(errors.ImageNotFound, errors.Forbidden),
        )
    },
    "/images/{image_id}/copy": {
        "POST": Operation(
            answers.Import, 202, body=copy.NewCopy, headers=("Idempotency-Key",), raises=_COPY,
            gives=GIVEN,
        ),
    },
    "/images/{image_id}/disk/{disk}/file": {"GET": _FILE, "HEAD": _FILE_HEAD},
    "/signed/{image_id}/{disk}": {
        "GET": dataclasses.replace(_FILE, query=_SIGNED),
        "HEAD": dataclasses.replace(_FILE_HEAD, query=_SIGNED),
    },
    "/signed-backups/{backup_id}/{disk}": {
        "GET": dataclasses.replace(_FILE, query=_SIGNED_BACKUP, raises=_BACKUP_BYTES),
        "HEAD": dataclasses.replace(_FILE_HEAD, query=_SIGNED_BACKUP, raises=_BACKUP_BYTES),
    },
    "/openapi.json": {"GET": Operation(dict[str, Any])},
    "/healthcheck": {"GET": Operation(answers.Live)},
    "/healthcheck/ready": {"GET": Operation(answers.Ready, also={503: answers.Ready})},
}  # fmt: skip
