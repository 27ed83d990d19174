"""What the routes of servers, volumes, nodes, backups and captures take and give."""

from imagesvc import errors
from imagesvc.api.native import answer as answers
from imagesvc.api.native import (
    backup,
    baremetal,
    capture,
    rebuild,
    server,
    server_console,
    volume,
)
from imagesvc.api.native import backup_answer as backup_answers
from imagesvc.api.native import disk_answer as disk_answers
from imagesvc.api.native.operation_shape import (
    DRIVER,
    GIVEN,
    NUMBER,
    OCTETS,
    PAGE,
    START,
    Operation,
    Raised,
    Schema,
)
from imagesvc.errors import Reason
from imagesvc.interface import errors as driver

COMPUTE: dict[str, Schema] = {
    "compute_id": {"type": "string", "description": "The compute backend; without it, any."}
}
VOLUME_BACKEND: dict[str, Schema] = {
    "backend_id": {"type": "string", "description": "The volume backend; without it, all."}
}
BACKUP_BACKEND: dict[str, Schema] = {
    "backend_id": {"type": "string", "description": "The backup backend; without it, all."}
}

_SERVER: tuple[Raised, ...] = (errors.ServerNotFound, errors.BackendNotFound, *DRIVER)
_VOLUME: tuple[Raised, ...] = (errors.VolumeNotFound, errors.BackendNotFound, *DRIVER)
_BACKUP: tuple[Raised, ...] = (errors.BackupNotFound, errors.BackendNotFound, *DRIVER)
_NODE: tuple[Raised, ...] = (errors.NodeNotFound, errors.BackendNotFound, *DRIVER)

# An image is named by id or family.
_NAMED = (errors.ImageNotFound, errors.FamilyNotFound)

OPERATIONS: dict[str, dict[str, Operation]] = {
    "/servers": {
        "GET": Operation(
            answers.ServerPage, query=PAGE | COMPUTE, raises=(errors.BackendNotFound, *DRIVER)
        ),
        "POST": Operation(
            answers.OneJob, 202, body=server.NewServers, headers=("Idempotency-Key",),
            raises=(*_NAMED, errors.StateConflict, driver.NotSupported, *START), gives=GIVEN,
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
            OCTETS, query={"offset": NUMBER} | COMPUTE, raises=_SERVER, gives=("X-Next-Offset",)
        ),
        "POST": Operation(
            status=204, query=COMPUTE, body=OCTETS, body_bytes_max=server_console.WRITE_BYTES_MAX,
            raises=(driver.NotSupported, *_SERVER),
        ),
    },
    "/rebuilds": {
        "POST": Operation(
            answers.OneJob, 202, body=rebuild.NewRebuild, headers=("Idempotency-Key",),
            raises=(
                errors.ServerNotFound, *_NAMED, errors.StateConflict,
                driver.NotSupported, *START,
            ), gives=GIVEN,
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
            raises=(errors.BackendNotFound, *DRIVER),
        ),
        "POST": Operation(
            answers.OneJob, 202, body=volume.NewVolumes, headers=("Idempotency-Key",),
            raises=(*_NAMED, errors.DiskNotFound, errors.StateConflict, *START), gives=GIVEN,
        ),
    },
    "/volumes/{volume_id}": {
        "GET": Operation(disk_answers.OneVolume, raises=_VOLUME),
        "DELETE": Operation(status=204, raises=_VOLUME),
    },
    "/nodes": {
        "GET": Operation(disk_answers.NodePage, query=PAGE, raises=(errors.BackendNotFound, *DRIVER)),
    },
    "/nodes/{node_id}": {"GET": Operation(disk_answers.OneNode, raises=_NODE)},
    "/nodes/{node_id}/deploy": {
        "POST": Operation(
            answers.OneJob, 202, body=baremetal.NewDeployment, headers=("Idempotency-Key",),
            raises=(
                errors.NodeNotFound, *_NAMED, errors.DiskNotFound,
                errors.StateConflict, *START,
            ), gives=GIVEN,
        ),
    },
    "/nodes/{node_id}/undeploy": {
        "POST": Operation(
            answers.OneJob, 202, headers=("Idempotency-Key",),
            raises=(errors.Conflict, *_NODE),
        ),
    },
    "/backups": {
        "GET": Operation(
            backup_answers.BackupPage, query=PAGE | BACKUP_BACKEND,
            raises=(errors.BackendNotFound, *DRIVER),
        ),
        "POST": Operation(
            answers.OneJob, 202, body=backup.NewBackup, headers=("Idempotency-Key",),
            raises=(errors.ServerNotFound, driver.NotSupported, *START),
        ),
    },
    "/backups/{backup_id}": {
        "GET": Operation(backup_answers.OneBackup, raises=_BACKUP),
        "DELETE": Operation(answers.OneJob, 202, raises=(errors.BackupInUse, *_BACKUP)),
    },
    "/backups/{backup_id}/restore": {
        "POST": Operation(
            answers.OneJob, 202, body=backup.NewRestoration, headers=("Idempotency-Key",),
            raises=(errors.BackupNotFound, errors.BackupInUse, driver.NotSupported, *START),
        ),
    },
    "/captures": {
        "POST": Operation(
            answers.Capture, 202, body=capture.NewCapture, headers=("Idempotency-Key",),
            raises=(
                errors.ServerNotFound, errors.VolumeNotFound, errors.NodeNotFound,
                errors.BackupNotFound, errors.BackupInUse, errors.ImageNotFound, errors.TooLarge, driver.NotSupported, *START,
            ),
        ),
    },
}  # fmt: skip
