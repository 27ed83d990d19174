"""Volumes: made empty or from images, and looked after as far as images need it."""

from collections.abc import Mapping, Sequence
from typing import Any

from imagesvc import errors
from imagesvc.backend.registry import Backends
from imagesvc.context import RequestContext
from imagesvc.db import attempt, image_disk
from imagesvc.domain.job import Job, JobType
from imagesvc.interface import volume
from imagesvc.manager import image_use, project, volume_backend, volume_hold
from imagesvc.manager.attachment import AttachmentManager
from imagesvc.manager.image import visible_image
from imagesvc.manager.job import JobManager
from imagesvc.manager.operation import Operation
from imagesvc.policy.check import Enforcer

GIB = 1 << 30


class VolumeManager:
    """Volumes of the caller's project; those of others do not exist."""

    def __init__(
        self,
        operation: Operation,
        enforcer: Enforcer,
        backends: Backends,
        jobs: JobManager,
        attachments: AttachmentManager,
        count_max: int,
    ) -> None:
        self._operation = operation
        self._enforcer = enforcer
        self._backends = backends
        self._jobs = jobs
        self._attachments = attachments
        self._count_max = count_max

    def create(
        self,
        ctx: RequestContext,
        *,
        name: str,
        size_gib: int | None = None,
        image_id: str | None = None,
        disk: int = 0,
        count: int = 1,
        backend_id: str | None = None,
        idempotency_key: str | None = None,
    ) -> Job:
        """Start a job that creates `count` volumes, empty or from one disk of an image.

        With an image and no `size_gib` they are as large as that disk, in whole GiB. Raises
        ImageNotFound, DiskNotFound, Forbidden (also IMAGE_DEACTIVATED), StateConflict if the
        image is not active, InvalidRequest, Conflict if the key belongs to another kind of job.
        """
        args = {
            "name": name,
            "count": count,
            "disk": disk,
            "size_gib": size_gib,
            "backend_id": backend_id or self._backends.default_id("volume"),
        }
        return self._jobs.once(
            ctx,
            JobType.CREATE_VOLUMES,
            idempotency_key,
            lambda: self._submit(ctx, image_id, args, idempotency_key),
        )

    @attempt.again
    def _submit(
        self, ctx: RequestContext, image_id: str | None, asked: Mapping[str, Any], key: str | None
    ) -> Job:
        project_id = project.require(ctx, "volumes")
        if not 1 <= asked["count"] <= self._count_max:
            raise errors.InvalidRequest(f"count must be from 1 to {self._count_max}.")
        self._backends.volume(asked["backend_id"])
        args = dict(asked)
        size_gib = args.pop("size_gib")
        detail = {"name": args["name"], "count": args["count"]}
        target = ("image", image_id) if image_id else ("volume", "-")
        with self._operation.write(ctx, "volume:create", *target, detail) as op:
            op.owner = project_id
            least_bytes = 1
            if image_id:
                least_bytes = self._least_bytes(op, ctx, image_id, args["disk"])
            self._enforcer.authorize(ctx, "volume:create")
            args["size_bytes"] = _size_bytes(size_gib, least_bytes, image_id)
            job = self._jobs.submit(
                op.conn, ctx, JobType.CREATE_VOLUMES, args, image_id=image_id, idempotency_key=key
            )
            op.detail["job_id"] = job.id
            return job

    def _least_bytes(self, op: Any, ctx: RequestContext, image_id: str, disk: int) -> int:
        """Bytes of the image's disk, if the caller may use it."""
        image = visible_image(op.conn, ctx, image_id)
        op.owner = image.owner
        self._enforcer.authorize(ctx, "image_file:download", image)
        image_use.require_usable(image, "volume creation")
        image_use.require_key(op.conn, ctx, image)
        for found in image_disk.list_for(op.conn, image_id):
            if found.index == disk:
                return int(found.virtual_size_bytes or found.size_bytes)
        raise errors.DiskNotFound(image_id=image_id, disk=disk)

    def list(
        self,
        ctx: RequestContext,
        *,
        backend_id: str | None = None,
        marker: str | None = None,
        limit: int = 100,
    ) -> Sequence[volume.Volume]:
        """Volumes by id, those after `marker`, of one volume backend or of all."""
        with self._operation.look(ctx, "volume:list", "volume"):
            self._enforcer.authorize(ctx, "volume:list")
        return volume_backend.list_page(
            self._backends, project.require(ctx, "volumes"), backend_id, marker, limit
        )

    def get(self, ctx: RequestContext, volume_id: str) -> volume.Volume:
        """Show one. Raises VolumeNotFound."""
        with self._operation.look(ctx, "volume:get", "volume", volume_id):
            self._enforcer.authorize(ctx, "volume:get")
            project_id = project.require(ctx, "volumes")
            return volume_backend.find(self._backends, project_id, volume_id)[1]

    def delete(self, ctx: RequestContext, volume_id: str) -> None:
        """Remove it. Raises VolumeNotFound, Forbidden, Busy if it is attached to a server."""
        with self._operation.attempt(ctx, "volume:delete", "volume", volume_id):
            self._enforcer.authorize(ctx, "volume:delete")
            project_id = project.require(ctx, "volumes")
            with volume_hold.hold(self._operation.database, project_id, volume_id):
                backend_id, found = volume_backend.find(self._backends, project_id, volume_id)
                if found.server_id is not None:
                    self._attachments.settle(project_id, backend_id, found)
                self._backends.volume(backend_id).delete_volume(volume_id, project_id=project_id)
        with self._operation.write(ctx, "volume:delete", "volume", volume_id) as op:
            op.owner = project_id


def _size_bytes(size_gib: int | None, least_bytes: int, image_id: str | None) -> int:
    if size_gib is None and image_id is None:
        raise errors.InvalidRequest("size_gib is needed for a volume that is made empty.")
    if size_gib is None:
        return -(-least_bytes // GIB) * GIB
    if size_gib * GIB < least_bytes:
        raise errors.InvalidRequest(
            f"size_gib must be at least {-(-least_bytes // GIB)} for this image."
        )
    return size_gib * GIB
