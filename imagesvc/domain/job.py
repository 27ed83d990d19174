"""A job and its steps: long work as rows."""

import dataclasses
import datetime
import enum
from collections.abc import Mapping
from typing import Any

from imagesvc.domain import server
from imagesvc.domain.state import JobState, StepState


class JobType(enum.StrEnum):
    """Kinds of long work; `worker/flow_table.py` names the steps of each."""

    CAPTURE_SYSTEM_DISK = "capture-system-disk"
    CAPTURE_DATA_DISKS = "capture-data-disks"
    CAPTURE_WHOLE_MACHINE = "capture-whole-machine"
    CREATE_SERVERS = "create-servers"
    REBUILD_SERVERS = "rebuild-servers"
    IMPORT_STAGED = "import-staged"
    IMPORT_URL = "import-url"
    IMPORT_LOCATION = "import-location"
    IMPORT_REMOTE = "import-remote"
    IMPORT_TASK = "import-task"
    COPY_IMAGE = "copy-image"
    IMPORT_UPLOAD = "import-upload"
    CREATE_VOLUMES = "create-volumes"
    CAPTURE_VOLUME = "capture-volume"
    DEPLOY_NODE = "deploy-node"
    UNDEPLOY_NODE = "undeploy-node"
    CAPTURE_NODE = "capture-node"
    CREATE_BACKUP = "create-backup"
    DELETE_BACKUP = "delete-backup"
    RESTORE_BACKUP = "restore-backup"
    CAPTURE_BACKUP = "capture-backup"
    CREATE_FROM_URL = "create-from-url"
    CREATE_FROM_BUCKET = "create-from-bucket"
    EXPORT_IMAGE = "export-image"
    CREATE_FROM_OVA = "create-from-ova"
    IMPORT_OVA = "import-ova"
    LINK_LOCATION = "link-location"
    COPY_FOREIGN = "copy-foreign"
    COPY = "copy"
    REWRAP_KEYS = "rewrap-keys"
    COPY_TO_REGION = "copy-to-region"
    RECEIVE_IMAGE = "receive-image"
    SYNC_CATALOG = "sync-catalog"
    VERIFY_CATALOG = "verify-catalog"
    PURGE_IMAGE = "purge-image"


# Types whose arguments changed since they were first written; those of all others are version 1.
_ARGS_VERSIONS: Mapping[str, int] = {
    JobType.CAPTURE_SYSTEM_DISK: 2,
    JobType.CREATE_SERVERS: 2,
    # Those that know of `output_format`.
    JobType.IMPORT_STAGED: 2,
    JobType.IMPORT_URL: 2,
    JobType.IMPORT_LOCATION: 2,
    JobType.IMPORT_REMOTE: 2,
    JobType.IMPORT_TASK: 2,
    JobType.IMPORT_UPLOAD: 2,
}


def args_version(job_type: str) -> int:
    """The version of a type's arguments that this release writes, and the newest that it reads."""
    return _ARGS_VERSIONS.get(job_type, 1)


# Jobs whose first step copies the disks of a server, which their arguments name.
CAPTURES_SERVER = frozenset(
    {
        JobType.CAPTURE_SYSTEM_DISK,
        JobType.CAPTURE_DATA_DISKS,
        JobType.CAPTURE_WHOLE_MACHINE,
        JobType.CREATE_BACKUP,
    }
)
# Jobs that need the backup which their arguments name, from their beginning to their end.
READS_BACKUP = frozenset({JobType.RESTORE_BACKUP, JobType.CAPTURE_BACKUP})
# Jobs that made the images they name (`domain/capture.py`), which are lost with them.
MAKES_IMAGE = frozenset(
    {
        JobType.CAPTURE_SYSTEM_DISK,
        JobType.CAPTURE_DATA_DISKS,
        JobType.CAPTURE_WHOLE_MACHINE,
        JobType.CAPTURE_VOLUME,
        JobType.CAPTURE_NODE,
        JobType.CAPTURE_BACKUP,
        JobType.CREATE_FROM_URL,
        JobType.CREATE_FROM_BUCKET,
        JobType.CREATE_FROM_OVA,
        JobType.COPY,
    }
)
# Jobs that make an image of another one, which their arguments name as `source_image_id`.
COPIES_IMAGE = frozenset({JobType.COPY})
# Jobs that bring bytes to an image that was there before, and stays if they fail.
IMPORTS = frozenset(
    {
        JobType.IMPORT_STAGED,
        JobType.IMPORT_URL,
        JobType.IMPORT_LOCATION,
        JobType.IMPORT_REMOTE,
        JobType.IMPORT_TASK,
        JobType.COPY_IMAGE,
        JobType.IMPORT_UPLOAD,
        JobType.IMPORT_OVA,
        JobType.LINK_LOCATION,
        JobType.COPY_FOREIGN,
    }
)
# Jobs that make an image of bytes that another region sent; that region begins anew.
RECEIVES = frozenset({JobType.RECEIVE_IMAGE})
# Jobs that make an image of what a source of the catalog has by then; each begins with asking it.
SYNCS = frozenset({JobType.SYNC_CATALOG})
# Jobs that end with the image they name; any other only reads it.
FILLS_IMAGE = MAKES_IMAGE | IMPORTS | RECEIVES | SYNCS
# Jobs of older releases do not say which roles their callers had: those that any of them needs.
_UNKNOWN_ROLES = ("member",)


@dataclasses.dataclass(frozen=True, slots=True)
class JobStep:
    """One step. `memo` is what the step keeps for its next run, after a kill too."""

    job_id: str
    n: int
    name: str
    state: StepState
    started_at: datetime.datetime | None = None
    finished_at: datetime.datetime | None = None
    memo: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    done_bytes: int = 0
    total_bytes: int | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Job:
    """One job. `lease_token` rises with each claim and fences every write of a worker.

    `attempt` counts lapsed leases and transient errors of the present step. `caller` holds
    user, roles and request id as asked. `result` is what the flow made, for the caller.
    `type` is a JobType, or a newer release's word for work that this one does not know.
    Of the jobs of a `lane` ("copies into region West") only so many are begun at a time; None: the
    job is of none.
    """

    id: str
    type: str
    args_version: int
    args: Mapping[str, Any]
    project_id: str
    state: JobState
    created_at: datetime.datetime
    parent_id: str | None = None
    image_id: str | None = None
    user_id: str | None = None
    request_id: str = ""
    idempotency_key: str | None = None
    step: int = 0
    attempt: int = 0
    attempts_max: int = 5
    run_after: datetime.datetime | None = None
    priority: int = 100
    worker: str | None = None
    lease_until: datetime.datetime | None = None
    lease_token: int = 0
    cancel_requested: bool = False
    unwinding: bool = False
    started_at: datetime.datetime | None = None
    finished_at: datetime.datetime | None = None
    error_code: str | None = None
    error_text: str | None = None
    operator_text: str | None = None
    result: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    lane: str | None = None
    steps: tuple[JobStep, ...] = ()

    @property
    def cause(self) -> str | None:
        """Why it waits, or ended as it did, for its caller."""
        if self.lane is not None and self.state == JobState.READY and self.started_at is None:
            return f"It waits for a place: only so many {self.lane} go on at a time."
        return self.error_text

    @property
    def images_read(self) -> tuple[str, ...]:
        """Ids of the images that it only reads."""
        if self.type in COPIES_IMAGE:
            return (self.args["source_image_id"],)
        if self.image_id is None or self.type in FILLS_IMAGE:
            return ()
        named = [disk.image_id for disk in server.data_disks(self.args)]
        return (self.image_id, *(image_id for image_id in named if image_id))

    @property
    def roles(self) -> frozenset[str]:
        """Roles of its caller, by which the images are judged that it reads."""
        return frozenset(self.args.get("roles", _UNKNOWN_ROLES))
