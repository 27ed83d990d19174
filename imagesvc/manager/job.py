"""Jobs as callers see them, and how other managers hand them in."""

import uuid
from collections.abc import Callable, Mapping
from typing import Any

from imagesvc import errors
from imagesvc.context import RequestContext, job_context
from imagesvc.db import attempt, image_use, metadata
from imagesvc.db import image as image_rows
from imagesvc.db import job as job_rows
from imagesvc.domain import capture as captures
from imagesvc.domain.job import (
    COPIES_IMAGE,
    FILLS_IMAGE,
    IMPORTS,
    MAKES_IMAGE,
    RECEIVES,
    SYNCS,
    Job,
    JobType,
    args_version,
)
from imagesvc.domain.state import JobState
from imagesvc.manager import backup_use, job_failure
from imagesvc.manager.image import visible_image
from imagesvc.manager.operation import Operation
from imagesvc.manager.quota import QuotaManager
from imagesvc.policy.check import Enforcer


class JobManager:
    """Long work: hand in, show, cancel, retry."""

    def __init__(self, operation: Operation, enforcer: Enforcer, quotas: QuotaManager) -> None:
        self._operation = operation
        self._enforcer = enforcer
        self._quotas = quotas

    def once(
        self,
        ctx: RequestContext,
        job_type: JobType,
        idempotency_key: str | None,
        submit: Callable[[], Job],
    ) -> Job:
        """The project's job under this key; `submit` hands it in if there is none.

        Of requests that come at once one hands its job in, the others get that job. Raises
        Conflict if the key belongs to a job of another type, and what `submit` raises.
        """
        first = self.known(ctx, job_type, idempotency_key)
        if first is not None:
            return first
        try:
            return submit()
        except errors.ImagesvcError:  # perhaps since another request was quicker: it took the room
            first = self.known(ctx, job_type, idempotency_key)
            if first is None:
                raise
            return first

    def known(
        self, ctx: RequestContext, job_type: JobType, idempotency_key: str | None
    ) -> Job | None:
        """The job that this project handed in under this key before.

        Raises Conflict if that was a job of another type.
        """
        if idempotency_key is None:
            return None
        with self._operation.database.read() as conn:
            job = job_rows.by_idempotency(conn, ctx.project_id or "", idempotency_key)
        if job is not None and job.type != job_type:
            raise errors.Conflict(errors.AlreadySubmitted.message, key=idempotency_key)
        return job

    def submit(
        self,
        conn: Any,
        ctx: RequestContext,
        job_type: JobType,
        args: Mapping[str, Any],
        *,
        image_id: str | None = None,
        idempotency_key: str | None = None,
        job_id: str | None = None,
        lane: str | None = None,
    ) -> Job:
        """Hand a job in, in the caller's transaction. Raises AlreadySubmitted for a used key.

        `job_id` is one of `new_id`, for callers that name the job in its arguments. Of a `lane`
        only so many begin at a time.
        """
        if image_id and (job_type not in FILLS_IMAGE or job_type in COPIES_IMAGE):
            # Who asked may lose the right meanwhile: the worker asks again, as this caller.
            args = {**args, "roles": sorted(ctx.roles)}
        job = Job(
            id=job_id or self.new_id(),
            type=job_type,
            args_version=args_version(job_type),
            args=args,
            project_id=ctx.project_id or "",
            state=JobState.READY,
            created_at=metadata.now(),
            image_id=image_id,
            user_id=ctx.user_id,
            request_id=ctx.request_id,
            idempotency_key=idempotency_key,
            lane=lane,
        )
        job_rows.insert(conn, job)
        image_use.touch(conn, job.images_read, job.created_at)
        return job

    def new_id(self) -> str:
        """An id for a job."""
        return str(uuid.uuid4())

    def get(self, ctx: RequestContext, job_id: str) -> Job:
        """Show a job of the caller's project. Raises JobNotFound, Forbidden."""
        with self._operation.look(ctx, "job:get", "job", job_id):
            self._enforcer.authorize(ctx, "job:get")
            with self._operation.database.read() as conn:
                job = job_rows.get(conn, job_id, _project(ctx))
            if job is None:
                raise errors.JobNotFound(job_id=job_id)
            return job

    def list(
        self,
        ctx: RequestContext,
        *,
        state: str | None = None,
        type: str | None = None,
        marker: str | None = None,
        limit: int = 25,
    ) -> tuple[Job, ...]:
        """List jobs of the caller's project, newest first. Raises Forbidden, InvalidRequest."""
        with self._operation.look(ctx, "job:list", "job"):
            self._enforcer.authorize(ctx, "job:list")
        with self._operation.database.read() as conn:
            return job_rows.list_page(conn, _project(ctx), state, type, marker, limit)

    @attempt.again
    def cancel(self, ctx: RequestContext, job_id: str) -> Job:
        """Ask a job to stop and undo. Raises JobNotFound, Forbidden, StateConflict."""
        with self._operation.write(ctx, "job:cancel", "job", job_id) as op:
            self._find(op.conn, ctx, job_id)
            self._enforcer.authorize(ctx, "job:cancel")
            job = job_rows.request_cancel(op.conn, job_id, _project(ctx))
            if job.state == JobState.CANCELLED:
                job_failure.end(op.conn, self._quotas, job, "Cancelled.")
            return job

    @attempt.again
    def retry(self, ctx: RequestContext, job_id: str) -> Job:
        """Run an ended job again from its start; an image that it was making is revived.

        Raises JobNotFound, Forbidden, StateConflict, ImageNotFound if that image is gone, or
        one that the job reads is not the caller's to see any more, BackupInUse if another job does
        with a backup what does not go with this one, QuotaExceeded if there is no room for it any more, Conflict for an import, which is
        begun anew at the image.
        """
        with self._operation.write(ctx, "job:retry", "job", job_id) as op:
            found = self._find(op.conn, ctx, job_id)
            self._enforcer.authorize(ctx, "job:retry")
            if found.type in IMPORTS:
                raise errors.Conflict("Begin another import of the image instead.")
            if found.type in RECEIVES:
                raise errors.Conflict("Copy the image again from the region that it came from.")
            if found.type in SYNCS:
                raise errors.Conflict("Sync the family again instead.")
            args = self._as_retried(ctx, found)
            job = job_rows.retry(op.conn, job_id, _project(ctx), args)
            self._require_readable(op.conn, job)
            backup_use.require_free(op.conn, job)
            if job.type in MAKES_IMAGE:
                self._revive(op.conn, job)
            return job

    def _as_retried(self, ctx: RequestContext, job: Job) -> Mapping[str, Any]:
        """Arguments for another run: its roles are those of whoever retries it.

        An administrator of elsewhere helps: what the job may read remains what it might.
        """
        if not job.images_read or ctx.project_id != job.project_id:
            return job.args
        return {**job.args, "roles": sorted(ctx.roles)}

    def _require_readable(self, conn: Any, job: Job) -> None:
        caller = job_context(job.user_id, job.project_id, job.roles)
        for image_id in job.images_read:
            image = visible_image(conn, caller, image_id)
            self._enforcer.authorize(caller, "image_file:download", image)

    def _revive(self, conn: Any, job: Job) -> None:
        """Bring the images back that the job was making, those that were not deleted since."""
        wanted = captures.image_ids(job)
        found = [image_id for image_id in wanted if image_rows.get(conn, image_id)]
        owner = None
        for image_id in found or wanted:
            owner = image_rows.transition(conn, image_id, "revive", {"cause": None})
        self._quotas.count(conn, owner, images=len(found))
        self.reserve(conn, owner, job)

    def reserve(self, conn: Any, owner: str | None, job: Job) -> None:
        """Set aside what the job will store, `size_bytes` of its arguments, until it ends.

        Raises QuotaExceeded.
        """
        size_bytes = job.args.get("size_bytes", 0)
        self._quotas.reserve(conn, owner, job.id, stored_bytes=size_bytes)

    def _find(self, conn: Any, ctx: RequestContext, job_id: str) -> Job:
        found = job_rows.get(conn, job_id, _project(ctx))
        if found is None:
            raise errors.JobNotFound(job_id=job_id)
        return found


def _project(ctx: RequestContext) -> str | None:
    return None if ctx.is_admin else ctx.project_id or ""
