"""Resumable uploads: begun, looked at, given up, and handed to the job that makes the image."""

import datetime
import uuid
from typing import Any

from imagesvc import errors
from imagesvc.backend.registry import Backends
from imagesvc.context import RequestContext
from imagesvc.crashpoint import crashpoint
from imagesvc.db import attempt, metadata
from imagesvc.db import image as image_rows
from imagesvc.db import job as job_rows
from imagesvc.db import region_image as region_image_rows
from imagesvc.db import upload as upload_rows
from imagesvc.domain import image_import, image_origin, storage_key
from imagesvc.domain.image import Image
from imagesvc.domain.image_import import Treatment
from imagesvc.domain.job import Job, JobType
from imagesvc.domain.state import JOB_ENDED
from imagesvc.domain.upload import NewUpload, Upload
from imagesvc.errors import Reason
from imagesvc.manager import location, region_arrival, upload_end
from imagesvc.manager.image import visible_image
from imagesvc.manager.job import JobManager
from imagesvc.manager.operation import SUCCESS, Operation, Step
from imagesvc.manager.quota import QuotaManager
from imagesvc.manager.sweep import sweep
from imagesvc.manager.upload_option import UploadLimits
from imagesvc.policy.check import Enforcer
from imagesvc.stream import container


class UploadManager:
    """The records of resumable uploads; `manager/upload_write.py` takes their bytes."""

    def __init__(
        self,
        operation: Operation,
        enforcer: Enforcer,
        backends: Backends,
        jobs: JobManager,
        quotas: QuotaManager,
        limits: UploadLimits,
        treatment: Treatment,
    ) -> None:
        self._operation = operation
        self._enforcer = enforcer
        self._backends = backends
        self._jobs = jobs
        self._quotas = quotas
        self._treatment = treatment
        self.limits = limits

    @attempt.again
    def create(self, ctx: RequestContext, new: NewUpload) -> Upload:
        """Begin an upload into a queued image, which is uploading from then on.

        One of no bytes is complete at once. Raises ImageNotFound, DiskNotFound, Forbidden,
        StateConflict, TooLarge, QuotaExceeded, InvalidRequest (FORMAT_MISSING, STORE_UNKNOWN),
        StoreReadOnly, UnsupportedImage for a container that cannot be judged.
        """
        with self._operation.write(ctx, "upload:create", "image", new.image_id) as op:
            image = visible_image(op.conn, ctx, new.image_id, lock=True)
            op.owner = image.owner
            self._enforcer.authorize(ctx, "upload:create", image)
            self._check(image, new)
            upload = self._born(ctx, image, new)
            op.detail.update(upload_id=upload.id, size_bytes=new.size_bytes)
            values = {"upload_token": upload.id, "heartbeat_at": None}  # nobody beats for it
            image_rows.transition(op.conn, image.id, "stage", values)
            upload_rows.insert(op.conn, upload)
            self.reserve(op.conn, image.owner, upload)
            if upload.size_bytes == 0:
                upload = self.complete(op.conn, ctx, image, upload)
        crashpoint("upload.created")
        return upload

    def _check(self, image: Image, new: NewUpload) -> None:
        if new.disk_index:
            raise errors.DiskNotFound(image_id=image.id, disk=new.disk_index)
        if not (image.disk_format and image.container_format):
            raise errors.InvalidRequest(
                "Set disk_format and container_format of image {image_id} first.",
                image_id=image.id,
                reason=Reason.FORMAT_MISSING,
            )
        container.check_container(image.container_format)
        if new.source_format == image_origin.OVA:
            image_origin.check_target(image.disk_format, image.container_format)
        self.check_size(new.size_bytes or 0)

    def check_size(self, size_bytes: int) -> None:
        """Raise TooLarge (SIZE_CAP) for more bytes than an image may have."""
        if size_bytes > self.limits.size_cap_bytes:
            raise errors.TooLarge(
                what="The image", limit=self.limits.size_cap_bytes, unit="bytes",
                reason=Reason.SIZE_CAP,
            )  # fmt: skip

    def _born(self, ctx: RequestContext, image: Image, new: NewUpload) -> Upload:
        wanted = new.store_id or self._backends.default_id("storage") or ""
        upload_id, now = uuid.uuid4().hex, metadata.now()
        return Upload(
            id=upload_id,
            image_id=new.image_id,
            disk_index=new.disk_index,
            project_id=ctx.project_id or "",
            user_id=ctx.user_id,
            store_id=location.require_store(self._backends, wanted).id,
            storage_key=storage_key.make(image.id, upload_id, encrypted=image.encrypted),
            offset_bytes=0,
            size_bytes=new.size_bytes,
            expected_sha256=new.sha256,
            created_at=now,
            expires_at=self.expiry(),
            client_metadata=new.client_metadata,
        )

    def expiry(self) -> datetime.datetime:
        """When an upload ends that gets no byte from now on."""
        return metadata.now() + datetime.timedelta(seconds=self.limits.expire_s)

    def get(self, ctx: RequestContext, upload_id: str) -> Upload:
        """How far an upload of the caller's project is. Raises UploadNotFound, Forbidden."""
        look = self._operation.look(ctx, "upload:get", "upload", upload_id)
        with look, self._operation.database.read() as conn:
            upload = own_upload(conn, ctx, upload_id)
            self._enforcer.authorize(ctx, "upload:get")
            return upload

    def list(
        self, ctx: RequestContext, *, marker: str | None = None, limit: int = 25
    ) -> tuple[Upload, ...]:
        """Uploads of the caller's project, newest first. Raises Forbidden, InvalidRequest."""
        with self._operation.look(ctx, "upload:list", "upload"):
            self._enforcer.authorize(ctx, "upload:list")
        with self._operation.database.read() as conn:
            return upload_rows.list_page(conn, _project(ctx), marker, limit)

    def delete(self, ctx: RequestContext, upload_id: str) -> None:
        """Give an upload up: its bytes are removed, its image is queued again.

        Raises UploadNotFound, Forbidden, Conflict while a job makes the image of it.
        """
        sweep(self._operation.database, self._backends, self._delete(ctx, upload_id))

    @attempt.again
    def _delete(self, ctx: RequestContext, upload_id: str) -> tuple[tuple[str, str], ...]:
        with self._operation.write(ctx, "upload:delete", "upload", upload_id) as op:
            found = own_upload(op.conn, ctx, upload_id)
            op.owner = found.project_id
            op.detail.update(image_id=found.image_id)
            self._enforcer.authorize(ctx, "upload:delete")
            image_rows.get(op.conn, found.image_id, lock=True)  # the first lock, as elsewhere
            upload = own_upload(op.conn, ctx, upload_id, lock=True)
            job = job_rows.get(op.conn, upload.job_id) if upload.job_id else None
            if job is not None and job.state not in JOB_ENDED:
                raise errors.Conflict(
                    "The upload is complete; cancel job {job_id} instead.", job_id=job.id
                )
            return upload_end.end(op.conn, self._quotas, upload)

    # ------------------------------------------------- for those who write

    def reserve(self, conn: Any, owner: str | None, upload: Upload) -> None:
        """Set aside what the upload will take, or has taken; again for other numbers."""
        known = upload.offset_bytes if upload.size_bytes is None else upload.size_bytes
        self._quotas.settle(conn, (upload.id,), owner)
        self._quotas.reserve(conn, owner, upload.id, stored_bytes=known, uploads=1)

    def check_room(self, upload: Upload, end: int) -> None:
        """Raise QuotaExceeded if the project has no room for the bytes up to `end`.

        For bytes that nobody announced and that are not counted yet.
        """
        with self._operation.database.read() as conn:
            image = image_rows.get(conn, upload.image_id)
            if image is not None:  # else the next sign of life says that it is gone
                self._quotas.room(conn, image.owner, end - upload.offset_bytes)

    def complete(self, conn: Any, ctx: RequestContext, image: Image, upload: Upload) -> Upload:
        """Hand in the job that joins and judges the bytes, all of which are there.

        In the transaction that holds the image. Raises InvalidRequest (FORMAT_MISSING),
        StateConflict, QuotaExceeded. Of an image from another region the last disk does that.
        """
        coming = region_image_rows.get(conn, image.id)
        if coming is not None:
            region_arrival.complete(
                conn, ctx, self._operation, self._jobs, self._quotas, image, coming
            )
            return upload_rows.get(conn, upload.id) or upload
        job_id, stores = self._jobs.new_id(), [upload.store_id]
        args: dict[str, Any] = {
            "method": "upload",
            "upload_id": upload.id,
            "stores": stores,
            "all_must_succeed": True,
            "size_bytes": upload.offset_bytes,
            **self._treatment.arguments(ctx.roles),
        }
        if upload.expected_sha256:
            args["digest"] = ["sha256", upload.expected_sha256]
        job_type = JobType.IMPORT_UPLOAD
        if upload.source_format == image_origin.OVA:
            job_type, args["target_format"] = JobType.IMPORT_OVA, image.disk_format
        job: Job = self._jobs.submit(conn, ctx, job_type, args, image_id=image.id, job_id=job_id)
        image_rows.transition(conn, image.id, "import")
        image_rows.set_properties(conn, image.id, image_import.marks(job_id, stores))
        found = upload_rows.complete(conn, upload.id, job_id)
        detail = {"upload_id": upload.id, "job_id": job_id, "size_bytes": upload.offset_bytes}
        step = Step(conn, image.id, owner=image.owner, detail=detail)
        self._operation.record(conn, ctx, "upload:complete", "image", step, SUCCESS)
        self._quotas.settle(conn, (upload.id,), image.owner)
        self._jobs.reserve(conn, image.owner, job)
        return found


def own_upload(conn: Any, ctx: RequestContext, upload_id: str, *, lock: bool = False) -> Upload:
    """The upload, if it is of the caller's project and not over; for another region's service, if
    it is of an image that came by its agency. Raises UploadNotFound."""
    found = upload_rows.get(conn, upload_id, _project(ctx), lock=lock)
    if found is None or found.expires_at < metadata.now() or not _is_agents(conn, ctx, found):
        raise errors.UploadNotFound(upload_id=upload_id)
    return found


def _is_agents(conn: Any, ctx: RequestContext, upload: Upload) -> bool:
    if ctx.agent is None:
        return True
    coming = region_image_rows.get(conn, upload.image_id)
    return coming is not None and coming.agency_id == ctx.agent.agency_id


def _project(ctx: RequestContext) -> str | None:
    return None if ctx.is_admin else ctx.project_id or ""
