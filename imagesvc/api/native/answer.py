"""Shapes of the answers, for the API's description; `views` makes them.

Every field is always there unless it may be UNSET. Tests hold each answer against these.
"""

import datetime
from typing import Any

import msgspec

from imagesvc.backend.backend import BackendState
from imagesvc.domain.job import JobType
from imagesvc.domain.state import JobState, StepState
from imagesvc.interface.compute import ServerState
from imagesvc.interface.encryption import KeyState


class Answer(msgspec.Struct, forbid_unknown_fields=True):
    """A JSON object with these fields and no others."""


class ServerDisk(Answer):
    """A disk of a server; `boot` marks the system disk. `serial` is what the guest reads as its
    serial number, empty if the backend gives it none."""

    id: str
    size_bytes: int
    boot: bool
    serial: str


class Server(Answer):
    """A server; `detail` tells why it is in `error`, or how it runs."""

    id: str
    name: str
    state: ServerState
    image_id: str | None
    os_type: str
    architecture: str
    created_at: datetime.datetime | None
    detail: str
    disks: list[ServerDisk]
    volumes: list[str]


class JobStep(Answer):
    """A step of a job."""

    name: str
    state: StepState
    done_bytes: int
    total_bytes: int | None
    started_at: datetime.datetime | None
    finished_at: datetime.datetime | None


class Job(Answer):
    """A job. `phase`, `done_bytes`, `total_bytes` and `eta_s` tell of the step that it is at;
    `operator_cause` is there for administrators alone."""

    id: str
    type: JobType
    state: JobState
    phase: str | None
    percent: float
    done_bytes: int
    total_bytes: int | None
    eta_s: float | None
    cause: str | None
    image_id: str | None
    result: dict[str, Any]
    created_at: datetime.datetime
    started_at: datetime.datetime | None
    finished_at: datetime.datetime | None
    cancel_requested: bool
    steps: list[JobStep]
    operator_cause: str | msgspec.UnsetType | None = msgspec.UNSET


class AuditEvent(Answer):
    """A recorded action."""

    id: str
    created_at: datetime.datetime
    action: str
    outcome: str
    target_type: str
    target_id: str
    project_id: str | None
    user_id: str | None
    request_id: str
    detail: dict[str, Any]


class Backend(Answer):
    """What provides a backend."""

    kind: str
    id: str
    driver: str
    distribution: str
    version: str
    contract: str
    capabilities: list[str]
    state: BackendState
    default: bool


class BackendHealth(Answer):
    """The last probe of a backend."""

    kind: str
    id: str
    driver: str
    state: BackendState
    since: datetime.datetime
    latency_ms: float
    cause: str


class ServerPage(Answer):
    """Servers; `next` is the marker of the page after this one."""

    servers: list[Server]
    next: str | None


class OneServer(Answer):
    """One server."""

    server: Server


class JobPage(Answer):
    """Jobs; `next` is the marker of the page after this one."""

    jobs: list[Job]
    next: str | None


class OneJob(Answer):
    """One job."""

    job: Job


class Capture(Answer):
    """The images that are being made, and the job that makes them; `image_id` if it is one."""

    image_id: str | None
    image_ids: list[str]
    job: Job


class Import(Answer):
    """A started import or copy; the image is null if it was deleted since."""

    image_id: str | None
    job: Job


class Key(Answer):
    """A key of a KMS; `version` wraps new data keys. What it consists of never comes out."""

    id: str
    name: str
    backend_id: str
    project_id: str
    state: KeyState
    version: int
    algorithm: str
    default: bool
    created_at: datetime.datetime | None


class Keys(Answer):
    """The keys of the project in all KMS."""

    keys: list[Key]


class OneKey(Answer):
    """One key."""

    key: Key


class RotatedKey(Answer):
    """A key with its new version, and the job that wraps all data keys anew."""

    key: Key
    job: Job


class ObjectStore(Answer):
    """Where buckets are, and the key that opens them, without its secret."""

    id: str
    name: str
    endpoint: str
    region: str
    buckets: list[str]
    access_key: str
    created_at: datetime.datetime
    updated_at: datetime.datetime


class OneObjectStore(Answer):
    """One object store."""

    object_store: ObjectStore


class ObjectStorePage(Answer):
    """Object stores by name; `next` is the marker of the page after this one."""

    object_stores: list[ObjectStore]
    next: str | None


class AuditPage(Answer):
    """Recorded actions; `next` is the marker of the page after this one."""

    events: list[AuditEvent]
    next: str | None


class QuotaUse(Answer):
    """One resource; `reserved` is set aside for running work, a `limit` of -1 is none, and
    `default` says that the limit is the installation's."""

    used: int
    reserved: int
    limit: int
    default: bool


class Quota(Answer):
    """What a project may have, and what it has."""

    project_id: str
    images: QuotaUse
    stored_bytes: QuotaUse
    uploads: QuotaUse


class OneQuota(Answer):
    """The quota of one project."""

    quota: Quota


class BackendList(Answer):
    """All backends."""

    backends: list[Backend]


class HealthList(Answer):
    """The health of all backends, and what works and still wants a look."""

    backends: list[BackendHealth]
    warnings: list[str]


class Live(Answer):
    """The process answers."""

    status: str


class Ready(Answer):
    """Whether work may be sent here; `unready` names what does not work as kind:id."""

    status: str
    reason: str
    unready: list[str]
