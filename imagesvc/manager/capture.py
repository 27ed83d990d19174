"""Captures: an image made from a server's disk."""

from collections.abc import Mapping

from imagesvc import errors
from imagesvc.backend.registry import Backends
from imagesvc.context import RequestContext
from imagesvc.db import image as image_rows
from imagesvc.domain.image import Image, ImageKind, NewImage, Visibility
from imagesvc.domain.job import Job, JobType
from imagesvc.interface.compute import Server, ServerDisk
from imagesvc.interface.errors import NotFound
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

        Without `disk_id` the system disk is taken. The image is `importing` until the job
        ends. A key that was used before gives the first job, ended or not, and its image: None
        if that was deleted since. Raises ServerNotFound, Forbidden, InvalidRequest.
        """
        known = self._jobs.known(ctx, JobType.CAPTURE_SYSTEM_DISK, idempotency_key)
        if known is not None:
            with self._operation.database.read() as conn:
                return image_rows.get(conn, known.image_id or ""), known
        server, disk = self._source(ctx, server_id, disk_id, compute_id)
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
            "compute_id": compute_id or self._backends.default_id("compute"),
        }
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
                idempotency_key=idempotency_key,
            )
            values = {"job_id": job.id, "source_server_id": server_id}
            image = image_rows.update(op.conn, image.id, values)
            op.detail.update(image_id=image.id, job_id=job.id)
        return image, job

    def _source(
        self, ctx: RequestContext, server_id: str, disk_id: str | None, compute_id: str | None
    ) -> tuple[Server, ServerDisk]:
        driver = self._backends.compute(compute_id)
        try:
            server = driver.get_server(server_id, project_id=ctx.project_id or "")
        except NotFound as exc:
            raise errors.ServerNotFound(server_id=server_id) from exc
        for disk in server.disks:
            if disk.disk_id == disk_id or (disk_id is None and disk.boot):
                return server, disk
        raise errors.InvalidRequest(f"Server {server_id} has no such disk.")
