"""The bin: deleted images come back, or leave for good."""

import datetime
import logging
from collections.abc import Callable
from typing import Any

from imagesvc import errors
from imagesvc.backend.registry import Backends
from imagesvc.context import RequestContext, service_context
from imagesvc.crashpoint import crashpoint
from imagesvc.db import attempt, doomed, metadata
from imagesvc.db import bin as bin_rows
from imagesvc.db import family as family_rows
from imagesvc.db import image as image_rows
from imagesvc.db import job as job_rows
from imagesvc.domain import promise
from imagesvc.domain.bin import BinnedImage
from imagesvc.domain.image import Image, Visibility
from imagesvc.domain.job import Job, JobType
from imagesvc.domain.state import JOB_ENDED, ImageStatus
from imagesvc.manager.image_delete import forget
from imagesvc.manager.job import JobManager
from imagesvc.manager.operation import SUCCESS, Operation, Step
from imagesvc.manager.quota import QuotaManager
from imagesvc.manager.sweep import sweep
from imagesvc.policy.check import Enforcer

LOG = logging.getLogger(__name__)


class BinManager:
    """What is in the bin, for owners and administrators."""

    def __init__(
        self,
        operation: Operation,
        enforcer: Enforcer,
        backends: Backends,
        quotas: QuotaManager,
        jobs: JobManager,
    ) -> None:
        self._operation = operation
        self._enforcer = enforcer
        self._backends = backends
        self._quotas = quotas
        self._jobs = jobs

    def list(self, ctx: RequestContext, marker: str | None, limit: int) -> tuple[BinnedImage, ...]:
        """The bin of the caller's project, for administrators all, by id. Raises Forbidden."""
        with self._operation.look(ctx, "bin:list", "image"):
            self._enforcer.authorize(ctx, "bin:list")
        with self._operation.database.read() as conn:
            return bin_rows.list_page(conn, _owner(ctx), marker, limit)

    def get(self, ctx: RequestContext, image_id: str) -> BinnedImage:
        """Show one. Raises BinnedImageNotFound, Forbidden."""
        with self._operation.look(ctx, "bin:get", "image", image_id) as step:
            with self._operation.database.read() as conn:
                found = _find(conn, ctx, image_id)
            step.owner = found.image.owner
            self._enforcer.authorize(ctx, "bin:get", found.image)
            return found

    @attempt.again
    def undo(self, ctx: RequestContext, image_id: str) -> tuple[Image, str | None]:
        """Take an image back with all that belongs to it, in the status that it had; and the newest
        image of its family, if that is another by now. It is hidden if its family shows another
        public image by now.

        Raises BinnedImageNotFound, Forbidden, QuotaExceeded for a project that has no room for one
        more image.
        """
        with self._operation.write(ctx, "bin:undo", "image", image_id) as op:
            found = _find(op.conn, ctx, image_id, lock=True)
            op.owner = found.image.owner
            self._enforcer.authorize(ctx, "bin:undo", found.image)
            event = "undo" if found.status == ImageStatus.ACTIVE else "undo_deactivated"
            values = _alive(found.image) | self._seen(op, found.image)
            bin_rows.take_back(op.conn, image_id, event, values)
            self._quotas.count(op.conn, found.image.owner, images=1)
            image = image_rows.get(op.conn, image_id)
            if image is None:
                raise errors.BinnedImageNotFound(image_id=image_id)
            newest = family_rows.newest(op.conn, image.owner, image.family)
            return image, None if newest == image_id else newest

    def _seen(self, op: Step, image: Image) -> dict[str, Any]:
        """Of a family one public image is shown: the one that is there stays it."""
        if image.hidden or image.visibility != Visibility.PUBLIC or image.family is None:
            return {}
        if family_rows.shown(op.conn, image.owner, image.family) is None:
            return {}
        op.detail["hidden"] = True
        return {"hidden": True}

    @attempt.again
    def purge(self, ctx: RequestContext, image_id: str) -> Job:
        """Hand in the job that removes an image for good; the one that does so already, if there is.

        Raises BinnedImageNotFound, Forbidden.
        """
        with self._operation.write(ctx, "bin:purge", "image", image_id) as op:
            found = _find(op.conn, ctx, image_id, lock=True)
            op.owner = found.image.owner
            self._enforcer.authorize(ctx, "bin:purge", found.image)
            job = self._submit(op.conn, ctx, found)
            op.detail["job_id"] = job.id
            return job

    def _submit(self, conn: Any, ctx: RequestContext, found: BinnedImage) -> Job:
        known = job_rows.get(conn, found.purge_job_id) if found.purge_job_id else None
        if known is not None and known.state not in JOB_ENDED:
            return known
        args = {"image_id": found.image.id, "deleted_at": found.grave.deleted_at.isoformat()}
        job = self._jobs.submit(conn, ctx, JobType.PURGE_IMAGE, args)
        bin_rows.set_purge_job(conn, found.image.id, job.id)
        return job

    def purge_due(self, most: int) -> int:
        """Hand in a job for each of at most `most` images whose term is over; how many."""
        with self._operation.database.read() as conn:
            due = bin_rows.due(conn, metadata.now(), most)
        count = 0
        for image_id, owner in due:
            ctx = service_context(project_id=owner)
            try:
                job = self.purge(ctx, image_id)
            except errors.BinnedImageNotFound:  # it came back, or went, meanwhile
                continue
            crashpoint("bin.due")
            LOG.info("term in the bin is over image_id=%s job_id=%s", image_id, job.id)
            count += 1
        return count

    def end(
        self, ctx: RequestContext, image_id: str, since: str, done: Callable[[Any], None]
    ) -> bool:
        """Remove record and bytes of an image that is in the bin since that moment; False for any
        other. `done` is called in the same transaction either way, before the image is locked.

        Raises what `done` raises.
        """
        objects = self._end(ctx, image_id, since, done)
        sweep(self._operation.database, self._backends, objects or ())
        return objects is not None

    @attempt.again
    def _end(
        self, ctx: RequestContext, image_id: str, since: str, done: Callable[[Any], None]
    ) -> tuple[tuple[str, str], ...] | None:
        with self._operation.database.write() as conn:
            done(conn)
            found = bin_rows.get(conn, image_id, lock=True)
            if found is None or found.grave.deleted_at != datetime.datetime.fromisoformat(since):
                return None
            image_rows.transition(conn, image_id, "purge")
            objects, size_bytes = forget(conn, image_id)
            doomed.add_all(conn, objects)
            self._quotas.count(conn, found.image.owner, stored_bytes=-size_bytes)
            step = Step(conn, image_id, found.image.owner)
            self._operation.record(conn, ctx, "image:purge", "image", step, SUCCESS)
        crashpoint("purge.forgotten")
        return tuple(objects)


def _find(conn: Any, ctx: RequestContext, image_id: str, *, lock: bool = False) -> BinnedImage:
    found = bin_rows.get(conn, image_id, _owner(ctx), lock=lock)
    if found is None:
        raise errors.BinnedImageNotFound(image_id=image_id)
    return found


def _owner(ctx: RequestContext) -> str | None:
    """Whose bin the caller sees, None for everybody's."""
    return None if ctx.is_admin else ctx.project_id or ""


def _alive(image: Image) -> dict[str, Any]:
    """What an image that came back has anew: a promise, also one that was broken, and no death."""
    until = promise.moment(image.properties.get(promise.PROVIDED_UNTIL))
    return {"provided_until": until, "deleted_by": None, "deleted_by_project": None}
