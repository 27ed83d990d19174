"""Copies of images into other regions: judged and handed in; the worker carries them out."""

from imagesvc import errors
from imagesvc.context import RequestContext
from imagesvc.db import attempt, image_disk
from imagesvc.domain import region_copy
from imagesvc.domain.image import Image
from imagesvc.domain.job import Job, JobType
from imagesvc.domain.region_copy import RegionCopyRequest
from imagesvc.errors import Reason
from imagesvc.manager import image_use
from imagesvc.manager.data_key import DataKeys
from imagesvc.manager.image import visible_image
from imagesvc.manager.job import JobManager
from imagesvc.manager.operation import Operation, Step
from imagesvc.manager.region import Regions
from imagesvc.policy.check import Enforcer

ACTION = "region_copy:create"


class RegionCopyManager:
    """Starts copies into other regions."""

    def __init__(
        self,
        operation: Operation,
        enforcer: Enforcer,
        jobs: JobManager,
        regions: Regions,
        keys: DataKeys,
    ) -> None:
        self._operation = operation
        self._enforcer = enforcer
        self._jobs = jobs
        self._regions = regions
        self._keys = keys

    def start(
        self, ctx: RequestContext, request: RegionCopyRequest, *, idempotency_key: str | None = None
    ) -> Job:
        """Hand in the job. Who may download an image may copy it; no other region is asked yet.

        A key that was used before gives the first job. Raises ImageNotFound, Forbidden (also
        IMAGE_DEACTIVATED), NoContent, Conflict for bytes that are elsewhere or have no digest,
        InvalidRequest for an unknown region.
        """
        return self._jobs.once(
            ctx,
            JobType.COPY_TO_REGION,
            idempotency_key,
            lambda: self._submit(ctx, request, idempotency_key),
        )

    @attempt.again
    def _submit(self, ctx: RequestContext, request: RegionCopyRequest, key: str | None) -> Job:
        with self._operation.write(ctx, ACTION, "image", request.image_id) as op:
            self._require(op, ctx, request)
            peer = self._regions.find(request.region)
            args = request.arguments() | {"region": peer.options.id}
            job = self._jobs.submit(
                op.conn, ctx, JobType.COPY_TO_REGION, args,
                image_id=request.image_id, idempotency_key=key,
                lane=f"copies into region {peer.options.name}",
            )  # fmt: skip
            op.detail.update(job_id=job.id, region=peer.options.name, project=request.project)
        return job

    def _require(self, op: Step, ctx: RequestContext, request: RegionCopyRequest) -> None:
        image = visible_image(op.conn, ctx, request.image_id)
        op.owner = image.owner
        self._enforcer.authorize(ctx, ACTION, image)
        image_use.require_readable(self._enforcer, ctx, image)
        image_use.require_key(op.conn, ctx, image)
        if image.encrypted and request.key_id is None:
            raise errors.InvalidRequest(
                "Image {image_id} is encrypted: name a key of the target project, or default.",
                image_id=image.id,
                reason=Reason.KEY_MISSING,
            )
        region_copy.check_disks(image, image_disk.list_for(op.conn, image.id))

    def check(self, ctx: RequestContext, image: Image) -> None:
        """Whether the caller may have the bytes, as for an export; asks the KMS of an encrypted image.

        Raises what an export does, Forbidden (KEY_MISSING), KeyUnavailable.
        """
        image_use.require_readable(self._enforcer, ctx, image)
        self._keys.require(ctx, image)
