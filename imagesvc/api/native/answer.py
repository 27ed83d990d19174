"""Shapes of the answers, for the API's description; `views` makes them.

Every field is always there unless it may be UNSET. Tests hold each answer against these.
"""

import datetime
from typing import Any

import msgspec

from imagesvc.backend.backend import BackendState
from imagesvc.domain.job import JobType
from imagesvc.domain.state import ImageStatus, JobState, StepState
from imagesvc.interface.compute import ServerState


class Answer(msgspec.Struct, forbid_unknown_fields=True):
    """A JSON object with these fields and no others."""


class ServerDisk(Answer):
    """A disk of a server; `boot` marks the system disk."""

    id: str
    size_bytes: int
    boot: bool


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
    """The image that is being made, and the job that makes it."""

    image_id: str
    job: Job


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


class ImageCopy(Answer):
    """A copy of a disk; `number` counts those that one store keeps. `fault` is what a scrub found
    at `found_at`; without it the copy counts as good."""

    store: str
    number: int
    good: bool
    fault: str | None
    found_at: datetime.datetime | None


class ImageDisk(Answer):
    """A disk of an image, its copies in the order in which they are read."""

    index: int
    role: str
    disk_format: str
    size_bytes: int
    good_copies: int
    copies: list[ImageCopy]


class Guest(Answer):
    """What was found by looking into the first disk; null and empty: not known. `firmware` are
    those that start it, `min_disk_gib` is what a server needs for it. `differs` names attributes of
    which the image says something else; what callers said stays."""

    os_type: str | None
    os_distro: str | None
    os_version: str | None
    os_name: str | None
    architecture: str | None
    firmware: list[str]
    virtio: bool | None
    cloud_init: bool | None
    label: str | None
    file_systems: list[str]
    min_disk_gib: int | None
    differs: list[str]


class Image(Answer):
    """An image as it is kept; `good_copies` are those of the disk that has the fewest, null before
    it has bytes. `warnings` are sentences for people."""

    id: str
    name: str | None
    status: ImageStatus
    size_bytes: int | None
    damaged: bool
    good_copies: int | None
    stores: list[str]
    warnings: list[str]
    found: Guest | None
    disks: list[ImageDisk]


class OneImage(Answer):
    """How one image is kept."""

    image: Image


class BackendList(Answer):
    """All backends."""

    backends: list[Backend]


class HealthList(Answer):
    """The health of all backends."""

    backends: list[BackendHealth]


class Live(Answer):
    """The process answers."""

    status: str


class Ready(Answer):
    """Whether work may be sent here; `unready` names what does not work as kind:id."""

    status: str
    reason: str
    unready: list[str]


class ErrorFacts(Answer):
    """`code` is the status, `reason` never changes, `message` is for people."""

    code: int
    reason: str
    message: str
    request_id: str


class Error(Answer):
    """Any failure."""

    error: ErrorFacts
