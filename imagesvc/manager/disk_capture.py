"""Captures of disks that belong to no server: an image made from a volume or a node."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from imagesvc import errors
from imagesvc.backend.registry import Backends
from imagesvc.context import RequestContext
from imagesvc.db import attempt
from imagesvc.db import image as image_rows
from imagesvc.domain.image import Image, ImageKind, NewImage
from imagesvc.domain.job import Job, JobType
from imagesvc.interface.baremetal import BaremetalCapability
from imagesvc.interface.errors import NotSupported
from imagesvc.interface.volume import VolumeCapability
from imagesvc.manager import capture_image, node_backend, project, volume_backend
from imagesvc.manager.capture_image import CaptureImages
from imagesvc.manager.image import ImageManager
from imagesvc.manager.job import JobManager
from imagesvc.manager.operation import Operation
from imagesvc.policy.check import Enforcer

# What a job needs to know of a disk, and the image that the disk was made of, if that is known.
Found = tuple[dict[str, Any], str | None]
_ROLES = {ImageKind.SYSTEM_DISK: "system", ImageKind.DATA_DISK: "data"}


class DiskCaptureManager:
    """Starts such captures; the worker carries them out."""

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

    def start_volume(
        self,
        ctx: RequestContext,
        volume_id: str,
        *,
        kind: str | None = None,
        idempotency_key: str | None = None,
        **described: Any,
    ) -> tuple[Image | None, Job]:
        """Make an image record and a job that fills it from a volume: a data disk, or what `kind`
        says. `described` is name, visibility, properties and tags of the image.

        A key that was used before gives the first job and its image, None if that was deleted
        since. Raises VolumeNotFound, NotSupported, Forbidden, QuotaExceeded, Conflict if the key
        belongs to another kind of job.
        """

        def find() -> Found:
            project_id = project.require(ctx, "volumes")
            backend_id, found = volume_backend.find(self._backends, project_id, volume_id)
            capabilities = self._backends.volume(backend_id).info().capabilities
            if VolumeCapability.SNAPSHOT not in capabilities:
                raise NotSupported("This volume backend cannot snapshot volumes.")
            return {
                "source_kind": "volume", "volume_id": volume_id, "backend_id": backend_id,
                "size_bytes": found.size_bytes,
            }, found.image_id  # fmt: skip

        wanted = ImageKind(kind or ImageKind.DATA_DISK)
        target = ("volume", volume_id)
        return self._start(
            ctx, JobType.CAPTURE_VOLUME, target, find, wanted, described, idempotency_key
        )

    def start_node(
        self,
        ctx: RequestContext,
        node_id: str,
        *,
        kind: str | None = None,
        idempotency_key: str | None = None,
        **described: Any,
    ) -> tuple[Image | None, Job]:
        """The same from the disk of a node that the project has: a system disk, or what `kind`
        says. Raises NodeNotFound, and what `start_volume` raises.
        """

        def find() -> Found:
            project_id = project.require(ctx, "nodes")
            backend_id, found = node_backend.find(self._backends, project_id, node_id)
            capabilities = self._backends.baremetal(backend_id).info().capabilities
            if BaremetalCapability.CAPTURE not in capabilities:
                raise NotSupported("This bare-metal backend cannot read a node's disk.")
            if found.project_id != project_id:
                raise errors.NodeNotFound(node_id=node_id)
            return {
                "source_kind": "baremetal", "node_id": node_id, "backend_id": backend_id,
                "size_bytes": found.size_bytes,
            }, found.image_id  # fmt: skip

        wanted = ImageKind(kind or ImageKind.SYSTEM_DISK)
        target = ("node", node_id)
        return self._start(
            ctx, JobType.CAPTURE_NODE, target, find, wanted, described, idempotency_key
        )

    def _start(
        self,
        ctx: RequestContext,
        job_type: JobType,
        target: tuple[str, str],
        find: Callable[[], Found],
        kind: ImageKind,
        described: Mapping[str, Any],
        key: str | None,
    ) -> tuple[Image | None, Job]:
        new = capture_image.new_image(kind, described)

        def submit() -> Job:
            with self._operation.attempt(ctx, "capture:create", *target):
                args, parent_id = find()
                args["role"] = _ROLES[kind]
                news = self._made.prepare(ctx, (new,))
            return self._submit(ctx, job_type, target, news, (args, parent_id), key)

        job = self._jobs.once(ctx, job_type, key, submit)
        with self._operation.database.read() as conn:
            return image_rows.get(conn, job.image_id or ""), job

    @attempt.again
    def _submit(
        self,
        ctx: RequestContext,
        job_type: JobType,
        target: tuple[str, str],
        news: Sequence[NewImage],
        found: Found,
        key: str | None,
    ) -> Job:
        args, parent_id = found
        with self._operation.write(ctx, "capture:create", *target) as op:
            self._enforcer.authorize(ctx, "capture:create")
            return self._made.submit(
                op, ctx, job_type, news, lambda _: args, key, parent_id=parent_id
            )
