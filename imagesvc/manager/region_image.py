"""Images that come from other regions: begun, looked at, taken back by the region's service."""

import dataclasses
import datetime
import uuid

from imagesvc import errors
from imagesvc.backend.registry import Backends
from imagesvc.context import Agent, RequestContext
from imagesvc.crashpoint import crashpoint
from imagesvc.db import attempt, image_disk, metadata
from imagesvc.db import image as image_rows
from imagesvc.db import job as job_rows
from imagesvc.db import region_image as region_image_rows
from imagesvc.db import upload as upload_rows
from imagesvc.domain import promise, storage_key
from imagesvc.domain import region_image as domain
from imagesvc.domain.image import Image, ImageDisk
from imagesvc.domain.job import Job
from imagesvc.domain.region_image import NewRegionImage, RegionDisk, RegionImage
from imagesvc.domain.upload import Upload
from imagesvc.manager import location, region_arrival
from imagesvc.manager.image import ImageManager
from imagesvc.manager.image_delete import DeletionManager
from imagesvc.manager.job import JobManager
from imagesvc.manager.operation import Operation, Step
from imagesvc.manager.quota import QuotaManager
from imagesvc.manager.sweep import sweep
from imagesvc.manager.upload import UploadManager
from imagesvc.policy.check import Enforcer
from imagesvc.stream import container

_NOUN = "region_image"


@dataclasses.dataclass(frozen=True, slots=True)
class Arrival:
    """How far an image is: `uploads` and `disks` by index, `disks` once it is active."""

    coming: RegionImage
    image: Image
    uploads: tuple[Upload, ...]
    disks: tuple[ImageDisk, ...]
    job: Job | None
    has_namesake: bool


class RegionImageManager:
    """What the service of another region asks for, by an agency of the target project."""

    def __init__(
        self,
        operation: Operation,
        enforcer: Enforcer,
        backends: Backends,
        images: ImageManager,
        deletions: DeletionManager,
        jobs: JobManager,
        quotas: QuotaManager,
        uploads: UploadManager,
    ) -> None:
        self._operation = operation
        self._enforcer = enforcer
        self._backends = backends
        self._images = images
        self._deletions = deletions
        self._jobs = jobs
        self._quotas = quotas
        self._uploads = uploads

    def create(self, ctx: RequestContext, new: NewRegionImage) -> Arrival:
        """Make the record and an upload a disk; the same token gives the same image again.

        Raises Forbidden, RegionImageNotFound if the image of this token was deleted, Conflict
        (ID_TAKEN), TooLarge, QuotaExceeded, InvalidRequest, StoreReadOnly, UnsupportedImage, and what
        `ImageManager.prepare` raises.
        """
        agent = _agent(ctx)
        with self._operation.look(ctx, f"{_NOUN}:create", "image"):
            self._enforcer.authorize(ctx, f"{_NOUN}:create")
        if self._known(agent, new.request_token) is None:
            with self._operation.attempt(ctx, f"{_NOUN}:create", "image", new.image.id or ""):
                asked = dataclasses.replace(
                    new.image, key_id=new.key_id, properties=promise.without(new.image.properties)
                )
                new = dataclasses.replace(new, image=self._images.prepare(ctx, asked))
            self._create(ctx, agent, new)
            crashpoint("region_image.created")
        return self.get(ctx, new.request_token)

    @attempt.again
    def _create(self, ctx: RequestContext, agent: Agent, new: NewRegionImage) -> None:
        if self._known(agent, new.request_token) is not None:
            return  # another request began it meanwhile
        with self._operation.write(ctx, f"{_NOUN}:create", "image", new.image.id or "") as op:
            self._check(new)
            image = self._insert(op, ctx, agent, new)
            op.target_id = image.id
            op.detail.update(source_image_id=new.source_image_id)
            coming, uploads = self._born(ctx, agent, new, image)
            if not region_image_rows.insert(op.conn, coming):
                raise attempt.Again("Another request began the image.")
            self._begin(op, ctx, image, coming, uploads)

    def _insert(self, op: Step, ctx: RequestContext, agent: Agent, new: NewRegionImage) -> Image:
        """The record. Raises Again if its id was taken by another request of the same token."""
        try:
            return self._images.insert(op, ctx, new.image)
        except errors.Conflict as exc:  # a refusal would make the source take that image back
            token = (agent.source_region, agent.source_project_id, new.request_token)
            if region_image_rows.by_token(op.conn, *token) is None:
                raise
            raise attempt.Again("Another request began the image.") from exc

    def _begin(
        self,
        op: Step,
        ctx: RequestContext,
        image: Image,
        coming: RegionImage,
        uploads: tuple[Upload, ...],
    ) -> None:
        values = {"upload_token": uploads[0].id, "heartbeat_at": None}  # nobody beats for it
        image_rows.transition(op.conn, image.id, "stage", values)
        for one in uploads:
            upload_rows.insert(op.conn, one)
        for one in uploads:
            self._uploads.reserve(op.conn, image.owner, one)
        # An image of no bytes at all is whole by now.
        region_arrival.complete(
            op.conn, ctx, self._operation, self._jobs, self._quotas, image, coming
        )

    def _check(self, new: NewRegionImage) -> None:
        domain.check_disks(new.disks)
        container.check_container(new.image.container_format)
        self._uploads.check_size(sum(disk.size_bytes for disk in new.disks))

    def _born(
        self, ctx: RequestContext, agent: Agent, new: NewRegionImage, image: Image
    ) -> tuple[RegionImage, tuple[Upload, ...]]:
        wanted = new.store_id or self._backends.default_id("storage") or ""
        store_id = location.require_store(self._backends, wanted).id
        now = metadata.now()
        disks = tuple(dataclasses.replace(disk, upload_id=uuid.uuid4().hex) for disk in new.disks)
        uploads = tuple(self._upload(ctx, image, store_id, disk, now) for disk in disks)
        coming = RegionImage(
            image_id=image.id,
            agency_id=agent.agency_id,
            project_id=ctx.project_id or "",
            source_region=agent.source_region,
            source_project_id=agent.source_project_id,
            source_image_id=new.source_image_id,
            request_token=new.request_token,
            disks=disks,
            created_at=now,
        )
        return coming, uploads

    def _upload(
        self,
        ctx: RequestContext,
        image: Image,
        store_id: str,
        disk: RegionDisk,
        now: datetime.datetime,
    ) -> Upload:
        return Upload(
            id=disk.upload_id,
            image_id=image.id,
            disk_index=disk.index,
            project_id=ctx.project_id or "",
            user_id=ctx.user_id,
            store_id=store_id,
            storage_key=storage_key.make(image.id, disk.upload_id, encrypted=image.encrypted),
            offset_bytes=0,
            size_bytes=disk.size_bytes,
            expected_sha256=None,
            created_at=now,
            expires_at=self._uploads.expiry(),
        )

    def get(self, ctx: RequestContext, request_token: str) -> Arrival:
        """How far the image is. Raises RegionImageNotFound, Forbidden."""
        with self._operation.look(ctx, f"{_NOUN}:get", "image", request_token):
            coming = self._find(ctx, f"{_NOUN}:get", request_token)
            with self._operation.database.read() as conn:
                image = image_rows.get(conn, coming.image_id)
                if image is None:
                    raise errors.RegionImageNotFound(request_token=request_token)
                uploads = upload_rows.for_image(conn, coming.image_id)
                return Arrival(
                    coming,
                    image,
                    tuple(sorted(uploads, key=lambda one: one.disk_index)),
                    image_disk.list_for(conn, coming.image_id),
                    job_rows.get(conn, coming.job_id) if coming.job_id else None,
                    region_image_rows.has_namesake(
                        conn, coming.image_id, coming.project_id, image.name
                    ),
                )

    def delete(self, ctx: RequestContext, request_token: str) -> None:
        """Take the image back, finished or not. Raises RegionImageNotFound, Forbidden."""
        with self._operation.look(ctx, f"{_NOUN}:delete", "image", request_token):
            coming = self._find(ctx, f"{_NOUN}:delete", request_token)
            try:
                self._deletions.delete(ctx, coming.image_id)
            except errors.ImageNotFound as exc:  # the caller knows it by its token alone
                raise errors.RegionImageNotFound(request_token=request_token) from exc

    def give_up(self, ctx: RequestContext, image_id: str, cause: str) -> None:
        """End an image that is not finished, for it is not wanted any more.

        One of which bytes are missing is deleted; of one that has them all the job is cancelled.
        """
        found = self._give_up(ctx, image_id, cause)
        sweep(self._operation.database, self._backends, found or ())
        if found is None:
            self._stop(ctx, image_id, cause)

    @attempt.again
    def _give_up(
        self, ctx: RequestContext, image_id: str, cause: str
    ) -> tuple[tuple[str, str], ...] | None:
        with self._operation.database.write() as conn:
            return region_arrival.give_up(conn, ctx, self._operation, self._quotas, image_id, cause)

    @attempt.again
    def _stop(self, ctx: RequestContext, image_id: str, cause: str) -> None:
        with self._operation.database.write() as conn:
            region_arrival.stop(conn, ctx, self._operation, self._quotas, image_id, cause)

    def _find(self, ctx: RequestContext, action: str, request_token: str) -> RegionImage:
        agent = _agent(ctx)
        self._enforcer.authorize(ctx, action)
        coming = self._known(agent, request_token)
        if coming is None or coming.project_id != ctx.project_id:
            raise errors.RegionImageNotFound(request_token=request_token)
        return coming

    def _known(self, agent: Agent, request_token: str) -> RegionImage | None:
        with self._operation.database.read() as conn:
            return region_image_rows.by_token(
                conn, agent.source_region, agent.source_project_id, request_token
            )


def _agent(ctx: RequestContext) -> Agent:
    if ctx.agent is None:
        raise errors.Forbidden("Only the service of another region asks for this.")
    return ctx.agent
