"""Jobs as callers see them, and how other managers hand them in."""

import uuid
from collections.abc import Mapping
from typing import Any

from imagesvc import errors
from imagesvc.context import RequestContext
from imagesvc.db import image as image_rows
from imagesvc.db import job as job_rows
from imagesvc.db import metadata
from imagesvc.domain.job import MAKES_IMAGE, Job, JobType, args_version
from imagesvc.domain.state import JobState
from imagesvc.manager.operation import Operation
from imagesvc.policy.check import Enforcer


class JobManager:
    """Long work: hand in, show, cancel, retry."""

    def __init__(self, operation: Operation, enforcer: Enforcer) -> None:
        self._operation = operation
        self._enforcer = enforcer

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
            raise errors.Conflict(
                "The idempotency key {key} was used for another job.", key=idempotency_key
            )
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
    ) -> Job:
        """Hand a job in, in the caller's transaction. Raises Conflict for a used key."""
        job = Job(
            id=str(uuid.uuid4()),
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
        )
        job_rows.insert(conn, job)
        return job

    def get(self, ctx: RequestContext, job_id: str) -> Job:
        """Show a job of the caller's project. Raises JobNotFound, Forbidden."""
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
        self._enforcer.authorize(ctx, "job:list")
        with self._operation.database.read() as conn:
            return job_rows.list_page(conn, _project(ctx), state, type, marker, limit)

    def cancel(self, ctx: RequestContext, job_id: str) -> Job:
        """Ask a job to stop and undo. Raises JobNotFound, Forbidden, StateConflict."""
        with self._operation.write(ctx, "job:cancel", "job", job_id) as op:
            self._find(op.conn, ctx, job_id)
            self._enforcer.authorize(ctx, "job:cancel")
            job = job_rows.request_cancel(op.conn, job_id, _project(ctx))
            if job.state == JobState.CANCELLED and job.type in MAKES_IMAGE:
                image_rows.transition(
                    op.conn, job.image_id or "", "job_failed", {"cause": "Cancelled."}
                )
            return job

    def retry(self, ctx: RequestContext, job_id: str) -> Job:
        """Run an ended job again from its start; an image that it was making is revived.

        Raises JobNotFound, Forbidden, StateConflict, ImageNotFound if that image is gone.
        """
        with self._operation.write(ctx, "job:retry", "job", job_id) as op:
            self._find(op.conn, ctx, job_id)
            self._enforcer.authorize(ctx, "job:retry")
            job = job_rows.retry(op.conn, job_id, _project(ctx))
            if job.type in MAKES_IMAGE:
                image_rows.transition(op.conn, job.image_id or "", "revive", {"cause": None})
            return job

    def _find(self, conn: Any, ctx: RequestContext, job_id: str) -> None:
        if job_rows.get(conn, job_id, _project(ctx)) is None:
            raise errors.JobNotFound(job_id=job_id)


def _project(ctx: RequestContext) -> str | None:
    return None if ctx.is_admin else ctx.project_id or ""
