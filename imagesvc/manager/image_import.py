"""Imports: the bytes of an image fetched, taken from staging, or copied to further stores."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from imagesvc import errors
from imagesvc.backend.registry import Backends
from imagesvc.context import RequestContext
from imagesvc.db import attempt, pending
from imagesvc.db import image as image_rows
from imagesvc.domain import image_import
from imagesvc.domain.image import Image
from imagesvc.domain.image_import import ImportRequest, Method, Rule, Treatment
from imagesvc.domain.job import Job
from imagesvc.domain.state import ImageStatus
from imagesvc.errors import Reason
from imagesvc.manager.image import visible_image
from imagesvc.manager.job import JobManager
from imagesvc.manager.operation import Operation, Step
from imagesvc.manager.quota import QuotaManager
from imagesvc.manager.remote_image import RemoteImages
from imagesvc.policy.check import Enforcer
from imagesvc.stream import container
from imagesvc.stream.source import UrlSource


class ImportManager:
    """Starts imports; the worker carries them out. `methods` are those that are enabled."""

    def __init__(
        self,
        operation: Operation,
        enforcer: Enforcer,
        backends: Backends,
        jobs: JobManager,
        quotas: QuotaManager,
        *,
        methods: tuple[Method, ...],
        urls: UrlSource,
        remotes: RemoteImages,
        treatment: Treatment,
    ) -> None:
        self._operation = operation
        self._enforcer = enforcer
        self._backends = backends
        self._jobs = jobs
        self._quotas = quotas
        self._urls = urls
        self._remotes = remotes
        self._treatment = treatment
        self.methods = methods

    @attempt.again
    def start(self, ctx: RequestContext, image_id: str, request: ImportRequest) -> Job | None:
        """Hand in the job; None if every store has the image already.

        Raises InvalidRequest, QuotaExceeded for a project that is above its limit, ImageNotFound,
        StateConflict, Conflict (FORMAT_MISSING, IMAGE_BUSY while another import runs,
        STORE_UNKNOWN), Forbidden, UnsupportedImage for a container that cannot be judged.
        """
        method = next((one for one in self.methods if one == request.method), None)
        if method is None:
            raise errors.InvalidRequest(
                "{method} is no import method here; there are: {methods}.",
                method=request.method or "(none)",
                methods=", ".join(self.methods) or "none",
            )
        rule = image_import.RULES[method]
        detail = {"method": str(method)}
        with self._operation.write(ctx, rule.action, "image", image_id, detail) as op:
            self._require_room(op, ctx)
            image = self._checked(op, ctx, image_id, rule)
            stores = self._targets(image, method, request)
            if method == Method.WEB_DOWNLOAD:
                self._check_url(request)
            elif method == Method.GLANCE_DOWNLOAD:
                self._remotes.check(request.remote)
            if not stores:
                return None
            more: Mapping[str, Any] = {}
            if method == Method.COPY_IMAGE and image.foreign_store is not None:
                rule, more = image_import.COPY_FOREIGN, image_import.known(image)
            job = self._submit(op, ctx, image, rule, stores, request, more)
            op.detail.update(job_id=job.id, stores=list(stores))
            return job

    @attempt.again
    def add_location(
        self, ctx: RequestContext, image_id: str, request: ImportRequest, *, copy: bool = False
    ) -> Job:
        """Hand in the job that fetches a URL, and keeps its bytes if they have the digest.

        With `copy` an active image takes them as one more copy, if they are its own bytes.
        Raises what `start` does; Forbidden for what is no URL of the web, and where
        web-download is not enabled; Conflict if no store is left for a copy.
        """
        rule = image_import.LOCATION
        with self._operation.write(ctx, rule.action, "image", image_id) as op:
            self._require_room(op, ctx)
            if copy:
                rule, request = self._as_copy(op, ctx, image_id, request)
            image = self._checked(op, ctx, image_id, rule)
            web = (request.uri or "").lower().startswith(("http://", "https://"))
            if Method.WEB_DOWNLOAD not in self.methods or not web:
                raise errors.Forbidden("Only locations that the service may fetch can be added.")
            self._check_url(request)
            stores = self._targets(image, Method.WEB_DOWNLOAD, request)
            if rule == image_import.LOCATION_COPY:
                stores = self._left(image)
            job = self._submit(op, ctx, image, rule, stores, request)
            op.detail.update(job_id=job.id, stores=list(stores))
            return job

    def begin(
        self,
        op: Step,
        ctx: RequestContext,
        image: Image,
        request: ImportRequest,
        more: Mapping[str, Any],
    ) -> Job:
        """Hand in the job of a task inside the caller's operation, which made the image.

        `more` are arguments that only its view reads. Raises InvalidRequest where web-download is
        not enabled, and for a URL that may not be fetched; QuotaExceeded, Conflict.
        """
        if Method.WEB_DOWNLOAD not in self.methods:
            raise errors.InvalidRequest("web-download is not enabled here, and this is one.")
        self._require_room(op, ctx)
        checked = self._checked(op, ctx, image.id, image_import.TASK_IMPORT)
        self._check_url(request)
        stores = self._targets(checked, Method.WEB_DOWNLOAD, request)
        return self._submit(op, ctx, checked, image_import.TASK_IMPORT, stores, request, more)

    def _as_copy(
        self, op: Step, ctx: RequestContext, image_id: str, request: ImportRequest
    ) -> tuple[Rule, ImportRequest]:
        image = visible_image(op.conn, ctx, image_id, lock=True)
        if image.status != ImageStatus.ACTIVE:
            return image_import.LOCATION, request
        return image_import.LOCATION_COPY, image_import.of_image(image, request)

    def _left(self, image: Image) -> tuple[str, ...]:
        every = ImportRequest(Method.COPY_IMAGE, all_stores=True)
        left = self._targets(image, Method.COPY_IMAGE, every)
        if not left:
            raise errors.Conflict("Every store has the image already.")
        return left[:1]

    def _require_room(self, op: Step, ctx: RequestContext) -> None:
        room = self._quotas.room(op.conn, ctx.project_id)
        if room is not None and room < 0:
            self._quotas.room(op.conn, ctx.project_id, 1)  # tells how much there is

    def _checked(self, op: Step, ctx: RequestContext, image_id: str, rule: Rule) -> Image:
        """The image, locked, if the method may begin on it; in the order that clients expect."""
        image = visible_image(op.conn, ctx, image_id, lock=True)
        op.owner = image.owner
        if image.status != rule.status:
            raise errors.StateConflict(
                noun="image", id=image_id, status=image.status, event="import",
                allowed=str(rule.status),
            )  # fmt: skip
        if not (image.disk_format and image.container_format):
            raise errors.Conflict(
                "Set disk_format and container_format of image {image_id} first.",
                image_id=image_id,
                reason=Reason.FORMAT_MISSING,
            )
        self._enforcer.authorize(ctx, rule.action, image)
        if image_import.TASK in image.properties:
            raise _busy(image_id)
        # An image that is taken over gets the formats of the other one.
        if rule is not image_import.RULES[Method.GLANCE_DOWNLOAD]:
            container.check_container(image.container_format)
        return image

    def _targets(self, image: Image, method: Method, request: ImportRequest) -> tuple[str, ...]:
        stores = self._backends.stores
        has = image.stores if method == Method.COPY_IMAGE else ()
        if request.all_stores:
            return tuple(one.id for one in stores if not one.read_only and one.id not in has)
        wanted = request.stores or (self._backends.default_id("storage") or "",)
        for store_id in wanted:
            found = stores.find(store_id)
            if found is None or found.read_only:
                raise errors.Conflict(
                    "There is no store {store} that takes bytes.",
                    store=store_id,
                    reason=Reason.STORE_UNKNOWN,
                )
            if store_id in has:
                raise errors.InvalidRequest(
                    "Image {image_id} is in store {store} already.",
                    image_id=image.id,
                    store=store_id,
                )
        return stores.order(wanted)

    def _check_url(self, request: ImportRequest) -> None:
        if not request.uri:
            raise errors.InvalidRequest("web-download needs a uri.")
        self._urls.check(request.uri)

    def _submit(
        self,
        op: Step,
        ctx: RequestContext,
        image: Image,
        rule: Rule,
        stores: tuple[str, ...],
        request: ImportRequest,
        more: Mapping[str, Any] = MappingProxyType({}),
    ) -> Job:
        args: dict[str, Any] = {"stores": list(stores), **request.arguments(), **more}
        token, job_id = None, self._jobs.new_id()
        if request.method == Method.GLANCE_DIRECT:
            token = image_rows.resting(op.conn, image.id)
            if token is None:  # the bytes are still on their way
                raise _busy(image.id)
            args["size_bytes"] = image.size_bytes or 0
        if image.status != ImageStatus.ACTIVE:
            args.update(self._treatment.arguments(ctx.roles))
        if request.remote is not None:
            args.update(self._remotes.arguments(request.remote, job_id))
        if token is not None:
            args["staged"] = self._staged(op, token, job_id)
        job = self._jobs.submit(op.conn, ctx, rule.job_type, args, image_id=image.id, job_id=job_id)
        if image.status != ImageStatus.ACTIVE:
            image_rows.transition(op.conn, image.id, "import")
        image_rows.set_properties(op.conn, image.id, image_import.marks(job.id, stores))
        if token is not None:
            self._quotas.settle(op.conn, (token,), image.owner)
        self._jobs.reserve(op.conn, image.owner, job)
        return job

    def _staged(self, op: Step, token: str, job_id: str) -> Mapping[str, str]:
        """The staged object, which is the job's from now on."""
        found = pending.hand_over(op.conn, token, job_id)
        if found is None:
            raise errors.NoContent("The staged bytes are gone.")
        return {"store_id": found.store_id, "key": found.storage_key}


def _busy(image_id: str) -> errors.Conflict:
    return errors.Conflict(
        "Image {image_id} is being imported already.", image_id=image_id, reason=Reason.IMAGE_BUSY
    )
