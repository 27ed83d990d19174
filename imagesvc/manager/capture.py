"""Captures: images made from a server's disks."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from imagesvc import errors
from imagesvc.backend.registry import Backends
from imagesvc.context import RequestContext
from imagesvc.db import attempt
from imagesvc.db import image as image_rows
from imagesvc.domain.capture import CapturedDisk, CaptureRequest
from imagesvc.domain.image import Image, ImageKind, NewImage, Visibility
from imagesvc.domain.job import Job
from imagesvc.interface.compute import ComputeCapability, Server, ServerDisk
from imagesvc.manager import capture_image, server_backend, server_source
from imagesvc.manager.capture_image import CaptureImages
from imagesvc.manager.image import ImageManager
from imagesvc.manager.job import JobManager
from imagesvc.manager.operation import Operation
from imagesvc.policy.check import Enforcer


class CaptureManager:
    """Starts captures; the worker carries them out."""

    def __init__(
        self,
        operation: Operation,
        enforcer: Enforcer,
        backends: Backends,
        images: ImageManager,
        jobs: JobManager,
    ) -> None:
        self._operation = operation
        self._enforcer = enforcer
        self._backends = backends
        self._made = CaptureImages(images, jobs)
        self._jobs = jobs

    def start(
        self,
        ctx: RequestContext,
        *,
        server_id: str,
        name: str,
        compute_id: str | None = None,
        disk_id: str | None = None,
        disk_ids: Sequence[str] = (),
        whole: bool = False,
        quiesce: bool = False,
        visibility: str = Visibility.PRIVATE,
        properties: Mapping[str, str] | None = None,
        tags: tuple[str, ...] = (),
        key_id: str | None = None,
        idempotency_key: str | None = None,
    ) -> tuple[Image | None, Job]:
        """Make image records and a job that fills them from disks of a server.

        `disk_id` takes one disk, `disk_ids` several at one instant, an image each, named `name-1`,
        `name-2`, ...; `whole` takes all at one instant as one image; without any it is the system
        disk. `quiesce` freezes the guest's file systems at that instant if it answers. With `key_id`
        the images are encrypted, each under a data key of its own.

        Without `compute_id` the server is looked for on every compute backend. The images are
        `importing` until the job ends. A key that was used before gives the first job, ended or
        not. The image is None if there are several, or if it was deleted since. Raises
        ServerNotFound, Forbidden, InvalidRequest, QuotaExceeded, Conflict if the key belongs to
        another kind of job, NotSupported if the backend cannot take disks at one instant.
        """
        if (disk_id is not None) + bool(disk_ids) + whole > 1:
            raise errors.InvalidRequest("Only one of disk_id, disk_ids and whole can be given.")
        if len(set(disk_ids)) < len(disk_ids):
            raise errors.InvalidRequest("disk_ids names a disk twice.")
        request = CaptureRequest(
            server_id=server_id,
            name=name,
            disk_ids=tuple(disk_ids) if disk_id is None else (disk_id,),
            whole=whole,
            quiesce=quiesce,
            compute_id=compute_id,
            visibility=visibility,
            properties=dict(properties or {}),
            tags=tags,
            key_id=key_id,
        )

        def submit() -> Job:
            backend_id, server, disks = self._find(ctx, request)
            with self._operation.attempt(ctx, "capture:create", "server", server_id):
                news = self._made.prepare(ctx, _images(request, server, disks))
            return self._submit(ctx, request, server, disks, news, backend_id, idempotency_key)

        job = self._jobs.once(ctx, request.job_type, idempotency_key, submit)
        with self._operation.database.read() as conn:
            return image_rows.get(conn, job.image_id or ""), job

    def _find(
        self, ctx: RequestContext, request: CaptureRequest
    ) -> tuple[str, Server, tuple[ServerDisk, ...]]:
        """The backend, the server and the disks; the backend can take them at one instant."""
        with self._operation.attempt(ctx, "capture:create", "server", request.server_id):
            backend_id, server = server_backend.find(
                self._backends, ctx.project_id or "", request.server_id, request.compute_id
            )
            disks = _disks(server, request)
            if request.whole or len(disks) > 1:
                server_source.require_capability(
                    self._backends.compute(backend_id),
                    ComputeCapability.CONSISTENT_GROUP,
                    "This compute backend cannot copy disks at one instant.",
                )
            return backend_id, server, disks

    @attempt.again
    def _submit(
        self,
        ctx: RequestContext,
        request: CaptureRequest,
        server: Server,
        disks: tuple[ServerDisk, ...],
        news: Sequence[NewImage],
        backend_id: str,
        key: str | None,
    ) -> Job:
        with self._operation.write(ctx, "capture:create", "server", server.server_id) as op:
            self._enforcer.authorize(ctx, "capture:create")

            def args(made: Sequence[Image]) -> dict[str, Any]:
                return {
                    "server_id": server.server_id,
                    "compute_id": backend_id,
                    "quiesce": request.quiesce,
                    "size_bytes": sum(disk.size_bytes for disk in disks),
                    "disks": [dataclasses.asdict(one) for one in _places(request, disks, made)],
                }

            return self._made.submit(
                op, ctx, request.job_type, news, args, key, server.server_id, server.image_id
            )


def _disks(server: Server, request: CaptureRequest) -> tuple[ServerDisk, ...]:
    """The disks that are asked for, in that order. Raises InvalidRequest."""
    known = {disk.disk_id: disk for disk in server.disks}
    if request.whole:
        found = list(server.disks)
    elif request.disk_ids:
        found = [known[disk_id] for disk_id in request.disk_ids if disk_id in known]
    else:
        found = [disk for disk in server.disks if disk.boot]
    if not found or len(found) < len(request.disk_ids):
        raise errors.InvalidRequest(f"Server {server.server_id} has no such disk.")
    return tuple(found)


def _images(
    request: CaptureRequest, server: Server, disks: tuple[ServerDisk, ...]
) -> list[NewImage]:
    """One image of all disks, or one of each."""
    kinds = [ImageKind.SYSTEM_DISK if disk.boot else ImageKind.DATA_DISK for disk in disks]
    if request.whole:
        kinds = [ImageKind.WHOLE_MACHINE]
    return [
        capture_image.new_image(
            kind,
            {
                "name": request.name if len(kinds) == 1 else f"{request.name}-{number}",
                "visibility": request.visibility,
                "tags": request.tags,
                "properties": request.properties,
                "key_id": request.key_id,
            },
            os_type=server.os_type,
            architecture=server.architecture,
        )
        for number, kind in enumerate(kinds, 1)
    ]


def _places(
    request: CaptureRequest, disks: tuple[ServerDisk, ...], images: Sequence[Image]
) -> Iterator[CapturedDisk]:
    """Which disk of which image each disk becomes."""
    for number, disk in enumerate(disks):
        image = images[0] if request.whole else images[number]
        index = number if request.whole else 0
        role = "system" if disk.boot else "data"
        yield CapturedDisk(disk.disk_id, image.id, index, role, disk.size_bytes)
