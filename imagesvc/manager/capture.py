"""Captures: an image made from a server's disk."""

from collections.abc import Mapping
from typing import Any

from imagesvc import errors
from imagesvc.backend.registry import Backends
from imagesvc.context import RequestContext
from imagesvc.db import attempt
from imagesvc.db import image as image_rows
from imagesvc.domain.image import Image, ImageKind, NewImage, Visibility
from imagesvc.domain.job import Job, JobType
from imagesvc.interface.compute import Server, ServerDisk
from imagesvc.manager import server_backend
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
        self._images = images
        self._jobs = jobs

    def start(
        self,
        ctx: RequestContext,
        *,
        server_id: str,
        name: str,
        compute_id: str | None = None,
        disk_id: str | None = None,
        visibility: str = Visibility.PRIVATE,
        properties: Mapping[str, str] | None = None,
        tags: tuple[str, ...] = (),
        idempotency_key: str | None = None,
    ) -> tuple[Image | None, Job]:
        """Make an image record and a job that fills it from one disk of a server.

        Without `disk_id` the system disk is taken, without `compute_id` the server is looked
        for on every compute backend. The image is `importing` until the job
        ends. A key that was used before gives the first job, ended or not, and its image: None
        if that was deleted since. Raises ServerNotFound, Forbidden, InvalidRequest, QuotaExceeded, Conflict if
        the key belongs to another kind of job.
        """

        def submit() -> Job:
            with self._operation.attempt(ctx, "capture:create", "server", server_id):
                backend_id, server = server_backend.find(
                    self._backends, ctx.project_id or "", server_id, compute_id
                )
                disk = _disk(server, disk_id)
            new = NewImage(
                name=name,
                visibility=Visibility(visibility),
                disk_format="raw",
                container_format="bare",
                kind=ImageKind.SYSTEM_DISK if disk.boot else ImageKind.DATA_DISK,
                os_type=server.os_type,
                architecture=server.architecture,
                tags=tags,
                properties=dict(properties or {}),
            )
            args = {
                "server_id": server_id,
                "disk_id": disk.disk_id,
                "role": "system" if disk.boot else "data",
                "size_bytes": disk.size_bytes,
                "compute_id": backend_id,
            }
            return self._submit(ctx, new, args, idempotency_key)

        job = self._jobs.once(ctx, JobType.CAPTURE_SYSTEM_DISK, idempotency_key, submit)
        with self._operation.database.read() as conn:
            return image_rows.get(conn, job.image_id or ""), job

    @attempt.again
    def _submit(
        self, ctx: RequestContext, new: NewImage, args: Mapping[str, Any], key: str | None
    ) -> Job:
        server_id: str = args["server_id"]
        with self._operation.write(ctx, "capture:create", "server", server_id) as op:
            self._enforcer.authorize(ctx, "capture:create")
            image = self._images.insert(op, ctx, new)
            image_rows.transition(op.conn, image.id, "import")
            job = self._jobs.submit(
                op.conn,
                ctx,
                JobType.CAPTURE_SYSTEM_DISK,
                args,
                image_id=image.id,
                idempotency_key=key,
            )
            values = {"job_id": job.id, "source_server_id": server_id}
            image = image_rows.update(op.conn, image.id, values)
            self._jobs.reserve(op.conn, image.owner, job)
            op.detail.update(image_id=image.id, job_id=job.id)
        return job


def _disk(server: Server, disk_id: str | None) -> ServerDisk:
    for disk in server.disks:
        if disk.disk_id == disk_id or (disk_id is None and disk.boot):
            return disk
    raise errors.InvalidRequest(f"Server {server.server_id} has no such disk.")
