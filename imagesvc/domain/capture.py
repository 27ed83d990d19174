"""What a capture takes of a server, and what it makes of it."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from imagesvc.domain.job import Job, JobType

CONSISTENCY = "consistency"  # the property of an image that tells interface.compute.Consistency


@dataclasses.dataclass(frozen=True, slots=True)
class CaptureRequest:
    """Which disks of a server: those of `disk_ids`, one image each; or all of them.

    Without either it is the system disk. `whole`: all disks at one instant, one image of them.
    `quiesce`: the guest's file systems are frozen at that instant, if it answers.
    """

    server_id: str
    name: str
    disk_ids: tuple[str, ...] = ()
    whole: bool = False
    quiesce: bool = False
    compute_id: str | None = None
    visibility: str = "private"
    properties: Mapping[str, str] = dataclasses.field(default_factory=dict)
    tags: tuple[str, ...] = ()
    key_id: str | None = None

    @property
    def job_type(self) -> JobType:
        """The kind of job that does it."""
        if self.whole:
            return JobType.CAPTURE_WHOLE_MACHINE
        return JobType.CAPTURE_DATA_DISKS if len(self.disk_ids) > 1 else JobType.CAPTURE_SYSTEM_DISK


@dataclasses.dataclass(frozen=True, slots=True)
class CapturedDisk:
    """One disk of the server, and which disk of which image it becomes."""

    disk_id: str
    image_id: str
    index: int
    role: str
    size_bytes: int


def disks(job: Job) -> tuple[CapturedDisk, ...]:
    """The disks that a job captures, in order; of one disk in the arguments of version 1."""
    if "disks" in job.args:
        return tuple(CapturedDisk(**each) for each in job.args["disks"])
    args = job.args
    role = args.get("role", "system")
    one = CapturedDisk(
        args.get("disk_id", ""), job.image_id or "", 0, role, args.get("size_bytes", 0)
    )
    return (one,)


def image_ids(job: Job) -> tuple[str, ...]:
    """The images that a job makes, in order."""
    if "disks" not in job.args:
        return (job.image_id,) if job.image_id else ()
    return tuple(dict.fromkeys(disk.image_id for disk in disks(job)))


def snapshots(job: Job, memo: Mapping[str, Any]) -> dict[str, str]:
    """Disk id -> snapshot id, of the memo of the snapshot step; empty before there are any."""
    # A step that an earlier release ran kept the one snapshot that it knew.
    return dict(memo.get("snapshots") or by_disk(job, memo.get("snapshot_id")))


def by_disk(job: Job, result: Any) -> dict[str, str]:
    """Disk id -> snapshot id, as a driver made them: of several disks a dict, of one the id alone."""
    if isinstance(result, Mapping):
        return dict(result)
    return {disks(job)[0].disk_id: result} if result else {}
