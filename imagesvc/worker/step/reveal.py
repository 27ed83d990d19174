"""The copy of an image becomes active."""

import dataclasses

from imagesvc import errors
from imagesvc.crashpoint import crashpoint
from imagesvc.db import image as image_rows
from imagesvc.db import job as job_rows
from imagesvc.db import pending
from imagesvc.domain.image import ImageDisk
from imagesvc.domain.state import ImageStatus
from imagesvc.manager import image_bytes
from imagesvc.manager.operation import SUCCESS
from imagesvc.manager.operation import Step as AuditStep
from imagesvc.worker import intake
from imagesvc.worker.flow import Step, StepContext, Wait


class Reveal(Step):
    """Publish all disks in one transaction that also ends the step; memo: result."""

    name = "reveal"
    final = True

    def run(self, ctx: StepContext) -> Wait | None:
        """Insert the disks, importing -> active, quota, audit.

        Whether the source is still there does not matter by now. Raises Cancelled, ImageGone,
        QuotaExceeded.
        """
        first, *others = _disks(ctx)
        size_bytes = ctx.job.args["size_bytes"]
        image_id, source_id = ctx.job.image_id or "", ctx.job.args["source_image_id"]
        ctx.memo["result"] = {"image_id": image_id, "source_image_id": source_id}
        crashpoint("step.reveal.begin")
        with ctx.service.database.write() as conn:
            if job_rows.fence(conn, ctx.job):
                raise errors.Cancelled(job_id=ctx.job.id)  # the last moment for it
            image = image_rows.get(conn, image_id, lock=True)
            noted = [pending.remove(conn, *disk.locations[0]) for disk in (first, *others)]
            if image is None or image.status != ImageStatus.IMPORTING or not all(noted):
                raise errors.ImageGone(image_id=image_id)
            # What the bytes are in, whatever was written there meanwhile.
            image_rows.update(
                conn, image_id, {"container_format": ctx.job.args["container_format"]}
            )
            owner = image_bytes.publish(conn, image_id, first, "import_done", others=tuple(others))
            ctx.service.quotas.settle(conn, (ctx.job.id,), owner, stored_bytes=size_bytes)
            detail = {
                "source_image_id": source_id, "size_bytes": size_bytes, "job_id": ctx.job.id,
            }  # fmt: skip
            audit = AuditStep(conn, image_id, owner=ctx.job.project_id, detail=detail)
            ctx.service.operation.record(
                conn, ctx.caller, "image:complete_copy", "image", audit, SUCCESS
            )
            ctx.complete(conn)
        crashpoint("step.reveal.done")
        return None


def _disks(ctx: StepContext) -> tuple[ImageDisk, ...]:
    return tuple(
        dataclasses.replace(
            intake.disk(facts),
            index=facts["index"],
            role=facts["role"],
            locations=((facts["store_id"], facts["key"]),),
        )
        for facts in ctx.results["copy"]["made"]
    )
