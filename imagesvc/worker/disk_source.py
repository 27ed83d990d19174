"""The disk that a job makes an image of: of a server, or what `source_kind` in its arguments says.

The drivers of all these kinds snapshot a disk and give its raw bytes by methods of the same names.
"""

from collections.abc import Callable
from typing import Any, BinaryIO, Protocol

from imagesvc.interface.operation import Handle, Progress
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


def start(ctx: StepContext, found: Any) -> Handle:
    """Begin the snapshot of the job's disk, or find it again by the step's token."""
    args, token, project_id = ctx.job.args, ctx.request_token, ctx.job.project_id
    kinds: dict[str, Callable[[], Handle]] = {
        "compute": lambda: found.start_snapshot(
            args["server_id"], args["disk_id"], token, project_id=project_id
        ),
        "volume": lambda: found.start_snapshot(args["volume_id"], token, project_id=project_id),
        "baremetal": lambda: found.start_snapshot(args["node_id"], token, project_id=project_id),
    }
    return kinds[args.get("source_kind", "compute")]()
