"""Images made from a URL or from an object in a bucket of the caller's."""

import dataclasses
from typing import Any

from imagesvc import errors
from imagesvc.backend.registry import Backends
from imagesvc.context import RequestContext
from imagesvc.db import attempt
from imagesvc.db import image as image_rows
from imagesvc.db import object_store as object_store_rows
from imagesvc.domain import image_origin
from imagesvc.domain.image import Image, NewImage
from imagesvc.domain.image_import import Injection
from imagesvc.domain.image_origin import BucketOrigin, NewImport, UrlOrigin
from imagesvc.domain.job import Job
from imagesvc.manager import location
from imagesvc.manager.bucket import Buckets
from imagesvc.manager.image import ImageManager
from imagesvc.manager.job import JobManager
from imagesvc.manager.operation import Operation, Step
from imagesvc.manager.quota import QuotaManager
from imagesvc.manager.seal import Sealer
from imagesvc.policy.check import Enforcer
from imagesvc.stream import container
from imagesvc.stream.source import UrlSource

ACTION = "image_import:create"
SEALED_URL = "sealed_url"


class OriginManager:
    """Makes an image record and a job that fills it; the worker carries it out."""

    def __init__(
        self,
        operation: Operation,
        enforcer: Enforcer,
        backends: Backends,
        images: ImageManager,
        jobs: JobManager,
        quotas: QuotaManager,
        *,
        urls: UrlSource,
        buckets: Buckets,
        sealer: Sealer,
        injection: Injection,
    ) -> None:
        self._operation = operation
        self._enforcer = enforcer
        self._backends = backends
        self._images = images
        self._jobs = jobs
        self._quotas = quotas
        self._urls = urls
        self._buckets = buckets
        self._sealer = sealer
        self._injection = injection

    def start(
        self, ctx: RequestContext, wanted: NewImport, *, idempotency_key: str | None = None
    ) -> tuple[Image | None, Job]:
        """Hand in the job; the image is `importing` until it ends, and `killed` if it fails.

        A key that was used before gives the first job, and its image: None if that was deleted
        since. Raises Forbidden, InvalidRequest (also URL_REFUSED), UnsupportedImage for a
        container that cannot be judged, QuotaExceeded, ObjectStoreNotFound, Conflict,
        StoreReadOnly, BucketAway if the object store's name is not resolved.
        """
        image_origin.check(wanted)
        job_type = wanted.job_type

        def submit() -> Job:
            self._check_bucket(ctx, wanted.origin)
            with self._operation.attempt(ctx, ACTION, "image", "-"):
                new = dataclasses.replace(wanted.image, disk_format=wanted.format_kept)
                new = self._images.prepare(ctx, new)
            return self._submit(ctx, wanted, new, idempotency_key)

        job = self._jobs.once(ctx, job_type, idempotency_key, submit)
        with self._operation.database.read() as conn:
            return image_rows.get(conn, job.image_id or ""), job

    def url_of(self, job: Job) -> str:
        """The URL that a job reads. Raises Conflict if another key sealed it."""
        url = self._sealer.open(job.args.get(SEALED_URL, ""), job.id)
        if url is None:
            raise errors.Conflict("The URL of the job cannot be read any more.")
        return url

    @attempt.again
    def _submit(
        self, ctx: RequestContext, wanted: NewImport, new: NewImage, key: str | None
    ) -> Job:
        with self._operation.write(ctx, ACTION, "image", "-") as op:
            self._enforcer.authorize(ctx, ACTION, {"owner": ctx.project_id})
            job_id = self._jobs.new_id()
            args = wanted.arguments() | self._checked(op, ctx, wanted.origin, job_id)
            args["stores"] = list(self._targets(wanted.stores))
            args["properties"] = self._injection.for_roles(ctx.roles)
            container.check_container(wanted.image.container_format)
            image = self._images.insert(op, ctx, new)
            op.target_id = image.id
            self._quotas.room(op.conn, image.owner, wanted.size_bytes or 1)
            image_rows.transition(op.conn, image.id, "make")
            job = self._jobs.submit(
                op.conn, ctx, wanted.job_type, args,
                image_id=image.id, idempotency_key=key, job_id=job_id,
            )  # fmt: skip
            image_rows.update(op.conn, image.id, {"job_id": job.id})
            self._jobs.reserve(op.conn, image.owner, job)
            op.detail.update(job_id=job.id, stores=args["stores"])
        return job

    def _targets(self, wanted: tuple[str, ...]) -> tuple[str, ...]:
        stores = wanted or (self._backends.default_id("storage") or "",)
        for store_id in stores:
            location.require_store(self._backends, store_id)
        return self._backends.stores.order(stores)

    def _check_bucket(self, ctx: RequestContext, origin: UrlOrigin | BucketOrigin) -> None:
        """Judge the object's place; may ask a name server of the caller's, so in no transaction."""
        if isinstance(origin, UrlOrigin):
            return
        with self._operation.attempt(ctx, ACTION, "image", "-"):
            self._enforcer.authorize(ctx, ACTION, {"owner": ctx.project_id})
            with self._operation.database.read() as conn:
                store = object_store_rows.get(conn, origin.object_store_id, ctx.project_id or "")
            self._buckets.check(store, origin.bucket, origin.key)

    def _checked(
        self, op: Step, ctx: RequestContext, origin: UrlOrigin | BucketOrigin, job_id: str
    ) -> dict[str, Any]:
        """Arguments of the job that are not in clear."""
        if isinstance(origin, UrlOrigin):
            self._urls.check(origin.url)
            return {SEALED_URL: self._sealer.seal(origin.url, job_id)}
        store = object_store_rows.get(op.conn, origin.object_store_id, ctx.project_id or "")
        op.detail.update(object_store_id=store.id, bucket=origin.bucket)
        return {}
