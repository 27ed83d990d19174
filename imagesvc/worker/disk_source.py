"""The disks that a job copies: of a server, or what `source_kind` in its arguments says.

The drivers of all these kinds but backups snapshot a disk and give its raw bytes by methods of the
same names. A backup does not change, and is read as it is.
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any, BinaryIO, Protocol

from imagesvc.domain import capture
from imagesvc.domain.capture import CapturedDisk
from imagesvc.domain.job import JobType
from imagesvc.interface.compute import ComputeCapability, ComputeDriver, Consistency
from imagesvc.interface.operation import Handle, Progress
from imagesvc.stream import limit
from imagesvc.worker import backup_source
from imagesvc.worker.flow import StepContext


class DiskSource(Protocol):
    """A driver whose disks are copied."""

    def snapshot_size(self, snapshot_id: str) -> int: ...
    def open_snapshot(self, snapshot_id: str, *, offset: int = 0) -> BinaryIO: ...
    def delete_snapshot(self, snapshot_id: str) -> None: ...
    def poll(self, handle: Handle) -> Progress: ...
    def cancel(self, handle: Handle) -> None: ...


def driver(ctx: StepContext) -> DiskSource:
    """The driver that the job's disk is on. Raises BackendNotFound, BackendFailed."""
    backends, args = ctx.service.backends, ctx.job.args
    kinds: dict[str, Callable[[], DiskSource]] = {
        "compute": lambda: backends.compute(args["compute_id"]),
        "volume": lambda: backends.volume(args["backend_id"]),
        "baremetal": lambda: backends.baremetal(args["backend_id"]),
    }
    return kinds[args.get("source_kind", "compute")]()


def snapshot_of(ctx: StepContext, disk: CapturedDisk) -> str | None:
    """The snapshot that the job has made of a disk; None for one of a backup."""
    if ctx.job.args.get("source_kind") == "backup":
        return None
    return capture.snapshots(ctx.job, ctx.results["snapshot"])[disk.disk_id]


@contextlib.contextmanager
def opened(ctx: StepContext, disk: CapturedDisk) -> Iterator[tuple[int, limit.Reader]]:
    """The size of a disk and its raw bytes: of its snapshot, or of the job's backup."""
    snapshot_id = snapshot_of(ctx, disk)
    if snapshot_id is None:
        with backup_source.opened(ctx, disk.disk_id) as found:
            yield found
        return
    source = driver(ctx)
    with source.open_snapshot(snapshot_id) as stream:
        yield source.snapshot_size(snapshot_id), stream


def start(ctx: StepContext, found: Any) -> Handle:
    """Begin the snapshot of the job's disk, or find it again by the step's token."""
    args, token, project_id = ctx.job.args, ctx.request_token, ctx.job.project_id
    kinds: dict[str, Callable[[], Handle]] = {
        "compute": lambda: _start_server(ctx, found),
        "volume": lambda: found.start_snapshot(args["volume_id"], token, project_id=project_id),
        "baremetal": lambda: found.start_snapshot(args["node_id"], token, project_id=project_id),
    }
    return kinds[args.get("source_kind", "compute")]()


def consistency(ctx: StepContext, found: Any, snapshot_ids: Iterable[str]) -> Consistency | None:
    """What the snapshots hold together; None where there is no guest to ask."""
    if ctx.job.args.get("source_kind", "compute") != "compute":
        return None
    each = {found.snapshot_consistency(snapshot_id) for snapshot_id in snapshot_ids}
    return Consistency.APPLICATION if each == {Consistency.APPLICATION} else Consistency.CRASH


def _start_server(ctx: StepContext, driver: ComputeDriver) -> Handle:
    """All disks, several, or one; frozen if that is asked for and the backend can."""
    args, token, project_id = ctx.job.args, ctx.request_token, ctx.job.project_id
    server_id = args["server_id"]
    disk_ids = [disk.disk_id for disk in capture.disks(ctx.job)]
    can = ComputeCapability.QUIESCE in driver.info().capabilities
    quiesce = bool(args.get("quiesce")) and can
    if ctx.job.type == JobType.CAPTURE_WHOLE_MACHINE:
        return driver.start_group_snapshot(server_id, token, project_id=project_id, quiesce=quiesce)
    if len(disk_ids) > 1:
        return driver.start_disks_snapshot(
            server_id, disk_ids, token, project_id=project_id, quiesce=quiesce
        )
    return driver.start_snapshot(
        server_id, disk_ids[0], token, project_id=project_id, quiesce=quiesce
    )
