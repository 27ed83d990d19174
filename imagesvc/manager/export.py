"""Exports: an image written into a bucket of the caller's."""

from imagesvc import errors
from imagesvc.backend.registry import Backends
from imagesvc.context import RequestContext
from imagesvc.db import attempt, image_disk
from imagesvc.db import object_store as object_store_rows
from imagesvc.domain import disk_format, export
from imagesvc.domain.export import ExportRequest
from imagesvc.domain.image import Image, ImageDisk
from imagesvc.domain.job import Job, JobType
from imagesvc.domain.object_store import ObjectStore
from imagesvc.interface.converter import ConverterCapability
from imagesvc.manager import image_use
from imagesvc.manager.bucket import Buckets
from imagesvc.manager.data_key import DataKeys
from imagesvc.manager.image import visible_image
from imagesvc.manager.job import JobManager
from imagesvc.manager.operation import SUCCESS, Operation, Step
from imagesvc.policy.check import Enforcer

ACTION = "export:create"


class ExportManager:
    """Starts exports; the worker carries them out."""

    def __init__(
        self,
        operation: Operation,
        enforcer: Enforcer,
        backends: Backends,
        jobs: JobManager,
        buckets: Buckets,
        keys: DataKeys,
    ) -> None:
        self._operation = operation
        self._enforcer = enforcer
        self._backends = backends
        self._jobs = jobs
        self._buckets = buckets
        self._keys = keys

    def start(
        self, ctx: RequestContext, request: ExportRequest, *, idempotency_key: str | None = None
    ) -> Job:
        """Hand in the job. Who may download an image may export it.

        A key that was used before gives the first job. Raises ImageNotFound, Forbidden (also
        IMAGE_DEACTIVATED, KEY_MISSING), NoContent, DiskNotFound, ObjectStoreNotFound,
        InvalidRequest, BucketAway if the object store's name is not resolved, KeyUnavailable, and
        what the KMS raises.
        """

        def submit() -> Job:
            with self._operation.attempt(ctx, ACTION, "image", request.image_id) as op:
                with self._operation.database.read() as op.conn:
                    store = self._store(op, ctx, request)
                    image = visible_image(op.conn, ctx, request.image_id)
                # May ask a name server of the caller's, and asks the KMS: never in a transaction.
                self._buckets.check(store, request.bucket, request.key)
                self._keys.require(ctx, image)
            return self._submit(ctx, request, idempotency_key)

        return self._jobs.once(ctx, JobType.EXPORT_IMAGE, idempotency_key, submit)

    @attempt.again
    def _submit(self, ctx: RequestContext, request: ExportRequest, key: str | None) -> Job:
        with self._operation.write(ctx, ACTION, "image", request.image_id) as op:
            self._store(op, ctx, request)
            job = self._jobs.submit(
                op.conn, ctx, JobType.EXPORT_IMAGE, request.arguments(),
                image_id=request.image_id, idempotency_key=key,
            )  # fmt: skip
            op.detail["job_id"] = job.id
            self._record_place(op, ctx, request, job)
        return job

    def _record_place(
        self, op: Step, ctx: RequestContext, request: ExportRequest, job: Job
    ) -> None:
        """Where it goes, in a record that the image's owner does not see."""
        place = {"job_id": job.id, "bucket": request.bucket, "key": request.key}
        own = Step(op.conn, request.object_store_id, ctx.project_id, place)
        self._operation.record(op.conn, ctx, ACTION, "object_store", own, SUCCESS)

    def _store(self, op: Step, ctx: RequestContext, request: ExportRequest) -> ObjectStore:
        """The object store, if nothing in our rows stands against the export."""
        image = visible_image(op.conn, ctx, request.image_id)
        op.owner = image.owner
        self._enforcer.authorize(ctx, ACTION, image)
        image_use.require_readable(self._enforcer, ctx, image)
        image_use.require_key(op.conn, ctx, image)
        disks = image_disk.list_for(op.conn, image.id)
        args = request.arguments()
        parts = export.plan(args, image, disks)
        export.check_keys(args, parts)
        for disk in disks:
            if disk.index in [part.index for part in parts]:
                self._check_format(image, disk, request)
        return object_store_rows.get(op.conn, request.object_store_id, ctx.project_id or "")

    def check(self, ctx: RequestContext, image: Image) -> None:
        """Whether the caller may have the bytes; asks the KMS about the key of an encrypted image.

        Raises Forbidden (also KEY_MISSING), NoContent, Conflict if they are elsewhere,
        KeyUnavailable, and what the KMS raises.
        """
        image_use.require_readable(self._enforcer, ctx, image)
        self._keys.require(ctx, image)

    def _check_format(self, image: Image, disk: ImageDisk, request: ExportRequest) -> None:
        wanted, variant = request.disk_format, request.variant
        if wanted is None:
            if variant:
                raise errors.InvalidRequest("Say the format that the variant is of.")
            return
        if image.container_format in disk_format.WRAPPING_CONTAINERS:
            raise errors.InvalidRequest("What is in a container is exported as it is.")
        tool = self._backends.converter()
        if wanted == disk.disk_format and not variant:
            return
        if (disk.disk_format, wanted) not in tool.formats():
            raise errors.InvalidRequest(f"A disk of format {disk.disk_format} becomes no {wanted}.")
        able = ConverterCapability.VARIANTS in tool.info().capabilities
        if variant and not (able and variant in tool.variants(wanted)):
            raise errors.InvalidRequest(f"There is no {variant} {wanted}.")
