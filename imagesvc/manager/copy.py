"""Copies: a new image of the caller's project with the bytes of one that the caller may read."""

import dataclasses
from typing import Any

from imagesvc import errors
from imagesvc.backend.registry import Backends
from imagesvc.context import RequestContext
from imagesvc.db import attempt, image_disk
from imagesvc.db import image as image_rows
from imagesvc.domain.image import Image, ImageDisk, NewImage, Visibility
from imagesvc.domain.image_property import OWN_PREFIXES
from imagesvc.domain.job import Job, JobType
from imagesvc.manager import image_copy, image_use, location, project
from imagesvc.manager.data_key import DataKeys
from imagesvc.manager.image import ImageManager, visible_image
from imagesvc.manager.job import JobManager
from imagesvc.manager.operation import SUCCESS, Operation, Step
from imagesvc.policy.check import Enforcer

ACTION = "image:copy"


@dataclasses.dataclass(frozen=True, slots=True)
class NewCopy:
    """What the caller says of the copy. Without a description it has its source's, without a
    store it goes to the default one; with a key of the KMS it is encrypted, without one plain."""

    name: str
    description: str | None = None
    store: str | None = None
    key_id: str | None = None


class CopyManager:
    """Starts copies; the worker carries them out."""

    def __init__(
        self,
        operation: Operation,
        enforcer: Enforcer,
        backends: Backends,
        images: ImageManager,
        jobs: JobManager,
        keys: DataKeys,
    ) -> None:
        self._operation = operation
        self._enforcer = enforcer
        self._backends = backends
        self._images = images
        self._jobs = jobs
        self._keys = keys

    def start(
        self,
        ctx: RequestContext,
        image_id: str,
        wanted: NewCopy,
        *,
        idempotency_key: str | None = None,
    ) -> Job:
        """Make an image record and a job that fills it; who may download an image may copy it.

        The image is `importing` until the job ends, and private. An idempotency key that was used
        before gives the first job. Raises ImageNotFound, Forbidden (also IMAGE_DEACTIVATED,
        KEY_MISSING), NoContent, ImageDamaged, Conflict for bytes that are elsewhere, InvalidRequest
        (STORE_UNKNOWN, KEY_MISSING), StoreReadOnly, QuotaExceeded, TooLarge, KeyNotFound,
        KeyUnavailable, and what the KMS raises.
        """

        def submit() -> Job:
            # Asks the KMS: never in a transaction.
            with self._operation.attempt(ctx, ACTION, "image", image_id) as op:
                with self._operation.database.read() as conn:
                    source = visible_image(conn, ctx, image_id)
                op.owner = source.owner
                self.check(ctx, source)
                new = self._images.prepare(ctx, _new(source, wanted))
            return self._submit(ctx, image_id, new, wanted.store, idempotency_key)

        return self._jobs.once(ctx, JobType.COPY, idempotency_key, submit)

    def check(self, ctx: RequestContext, source: Image) -> None:
        """Whether the caller may have a copy; asks the KMS about the key of an encrypted image.

        Raises Forbidden (also KEY_MISSING), NoContent, Conflict, KeyUnavailable, and what the KMS
        raises.
        """
        self._require(ctx, source)
        self._keys.require(ctx, source)

    def _require(self, ctx: RequestContext, source: Image) -> None:
        self._enforcer.authorize(ctx, ACTION, source)
        image_use.require_readable(self._enforcer, ctx, source)

    @attempt.again
    def _submit(
        self,
        ctx: RequestContext,
        image_id: str,
        new: NewImage,
        store: str | None,
        key: str | None,
    ) -> Job:
        with self._operation.write(ctx, ACTION, "image", image_id) as op:
            source = visible_image(op.conn, ctx, image_id)
            op.owner = source.owner
            self._require(ctx, source)
            image_use.require_key(op.conn, ctx, source)
            project.require(ctx, "copies")
            disks = self._disks(op.conn, source)
            store_id = store or self._backends.default_id("storage") or ""
            location.require_store(self._backends, store_id)
            image = self._images.insert(op, ctx, new)
            op.owner = source.owner  # the act is one on the source
            image_rows.transition(op.conn, image.id, "import")
            args = {
                "source_image_id": source.id,
                "container_format": source.container_format,
                "indexes": [disk.index for disk in disks],
                "size_bytes": sum(disk.size_bytes for disk in disks),
                "store": store_id,
            }
            job = self._jobs.submit(
                op.conn, ctx, JobType.COPY, args, image_id=image.id, idempotency_key=key
            )
            values = {"job_id": job.id, "source_image_id": source.id, "parent_image_id": source.id}
            image_rows.update(op.conn, image.id, values)
            self._jobs.reserve(op.conn, image.owner, job)
            op.detail["job_id"] = job.id
            self._record_made(op, ctx, image, source, job)
        return job

    def _disks(self, conn: Any, source: Image) -> tuple[ImageDisk, ...]:
        """What is copied, each with a copy of which nothing bad is known."""
        disks = image_disk.list_for(conn, source.id)
        if not disks:
            raise errors.NoContent(image_id=source.id)
        for disk in disks:
            image_copy.sound(self._backends, source.id, disk)
        return disks

    def _record_made(
        self, op: Step, ctx: RequestContext, image: Image, source: Image, job: Job
    ) -> None:
        """The new image, in a record that the source's owner does not see."""
        detail = {"source_image_id": source.id, "job_id": job.id}
        own = Step(op.conn, image.id, image.owner, detail)
        self._operation.record(op.conn, ctx, "image:create", "image", own, SUCCESS)


def _new(source: Image, wanted: NewCopy) -> NewImage:
    """A record that says of the bytes what the source's does."""
    return NewImage(
        name=wanted.name,
        visibility=Visibility.PRIVATE,
        disk_format=source.disk_format,
        container_format=source.container_format,
        min_disk_gib=source.min_disk_gib,
        min_ram_mib=source.min_ram_mib,
        kind=source.kind,
        os_type=source.os_type,
        architecture=source.architecture,
        description=source.description if wanted.description is None else wanted.description,
        tags=source.tags,
        key_id=wanted.key_id,
        properties={
            name: value
            for name, value in source.properties.items()
            if not name.startswith(OWN_PREFIXES)
        },
    )
