"""The end of images: into the bin, or their records and the bytes that are nobody's by that."""

import datetime
from collections.abc import Callable
from typing import Any

from imagesvc.backend.registry import Backends
from imagesvc.context import RequestContext
from imagesvc.db import attempt, doomed, image_disk, image_key, metadata, pending
from imagesvc.db import image as image_rows
from imagesvc.db import job as job_rows
from imagesvc.domain.image import Image
from imagesvc.domain.quota import UNCOUNTED
from imagesvc.domain.state import IMAGE_READABLE, ImageStatus
from imagesvc.manager import image_promise, job_token, upload_end
from imagesvc.manager.image import visible_image
from imagesvc.manager.operation import Operation, Step
from imagesvc.manager.quota import QuotaManager
from imagesvc.manager.sweep import sweep
from imagesvc.policy.check import Enforcer

Judge = Callable[[Any, Image], None]


class DeletionManager:
    """Deletes images; those with bytes come into the bin for `term_s` seconds, if it is not 0."""

    def __init__(
        self,
        operation: Operation,
        enforcer: Enforcer,
        backends: Backends,
        quotas: QuotaManager,
        *,
        term_s: int,
    ) -> None:
        self._operation = operation
        self._enforcer = enforcer
        self._backends = backends
        self._quotas = quotas
        self._term = datetime.timedelta(seconds=term_s)

    def delete(
        self, ctx: RequestContext, image_id: str, *, broken: str = "", unless: Judge | None = None
    ) -> None:
        """Delete an image and its bytes, which may rest in the bin; jobs that make it are cancelled.

        `broken` says why its promise is broken, if it is. `unless` sees the image in the transaction
        that deletes it; what it raises keeps the image. The id never comes back. Raises
        ImageNotFound, Forbidden (also IMAGE_PROTECTED), ImagePromised, InvalidRequest.
        """
        objects = self._delete(ctx, image_id, broken, unless)
        sweep(self._operation.database, self._backends, objects)

    @attempt.again
    def _delete(
        self, ctx: RequestContext, image_id: str, broken: str, unless: Judge | None
    ) -> tuple[tuple[str, str], ...]:
        """Delete the record; the objects that are nobody's by that."""
        with self._operation.write(ctx, "image:delete", "image", image_id) as op:
            # Before the image, as whoever ends a job does.
            held = job_rows.hold_for_image(op.conn, image_id)
            image = visible_image(op.conn, ctx, image_id, lock=True)
            op.owner = image.owner
            self._enforcer.authorize(ctx, "image:delete", image)
            if unless is not None:
                unless(op.conn, image)
            if broken and image_promise.break_it(op, self._enforcer, ctx, image, broken):
                image_rows.update(op.conn, image_id, {"provided_until": None})
            over = self._staged(op, image)
            uploads = upload_end.forget(op.conn, image_id)
            objects, size_bytes = self._end(op, ctx, image)
            ended = job_rows.cancel_for_image(op.conn, image_id, held)
            job_token.forget(op.conn, *ended)
            over += ended + uploads.tokens
            objects += uploads.objects
            if over:  # nobody works on them, so nobody cleans up after them
                objects += pending.take(op.conn, over)
            doomed.add_all(op.conn, objects)
            images = 0 if image.status in UNCOUNTED else 1
            self._quotas.settle(
                op.conn, over, image.owner, images=-images, stored_bytes=-size_bytes
            )
        return tuple(objects)

    def _end(
        self, op: Step, ctx: RequestContext, image: Image
    ) -> tuple[list[tuple[str, str]], int]:
        """Take the record away; objects and bytes that are nobody's by that, none in the bin."""
        by = {"deleted_by": ctx.user_id, "deleted_by_project": ctx.project_id}
        if self._term and image.status in IMAGE_READABLE:
            until = metadata.now() + self._term
            values = {**by, "bin_until": until, "bin_status": str(image.status)}
            image_rows.transition(op.conn, image.id, "bin", values, action="image:delete")
            op.detail["bin_until"] = until.isoformat()
            return [], 0
        image_rows.transition(op.conn, image.id, "delete", by, action="image:delete")
        return forget(op.conn, image.id)

    def _staged(self, op: Step, image: Image) -> tuple[str, ...]:
        """The token of bytes that wait for an import, if there are any."""
        if image.status != ImageStatus.UPLOADING:
            return ()
        token = image_rows.resting(op.conn, image.id)
        return () if token is None else (token,)


def forget(conn: Any, image_id: str) -> tuple[list[tuple[str, str]], int]:
    """Forget keys and disks of an image that is deleted; the objects of it, and their bytes."""
    # Without its key nobody reads bytes that are still there.
    image_key.remove(conn, image_id)
    return image_disk.delete_for(conn, image_id)
