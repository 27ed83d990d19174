"""The image becomes active."""

from imagesvc import errors
from imagesvc.crashpoint import crashpoint
from imagesvc.db import job as job_rows
from imagesvc.db import pending
from imagesvc.domain import guest
from imagesvc.domain.image import ImageDisk
from imagesvc.manager import image_bytes
from imagesvc.manager.operation import Step as AuditStep
from imagesvc.worker.flow import Step, StepContext, Wait


class Activate(Step):
    """Publish the stored disk in one transaction that also ends the step; keeps nothing."""

    name = "activate"
    final = True

    def run(self, ctx: StepContext) -> Wait | None:
        """Insert the disk, importing -> active, quota, audit.

        Raises Cancelled, StateConflict, ImageNotFound, QuotaExceeded.
        """
        stored = ctx.results["store"]
        image_id = ctx.job.image_id or ""
        location = (stored["store_id"], stored["key"])
        crashpoint("step.activate.begin")
        with ctx.service.database.write() as conn:
            if job_rows.fence(conn, ctx.job):
                raise errors.Cancelled(job_id=ctx.job.id)  # the last moment for it
            disk = ImageDisk(
                index=0,
                role=ctx.job.args.get("role", "system"),
                disk_format="raw",
                size_bytes=stored["size_bytes"],
                virtual_size_bytes=stored["virtual_size_bytes"],
                md5=stored["md5"],
                hash_algorithm=stored["hash_algorithm"],
                hash_value=stored["hash_value"],
                locations=(location,),
                guest=guest.of(stored.get("guest")),
            )
            ctx.service.guests.fill(conn, image_id, disk, own=True)
            owner = image_bytes.publish(conn, image_id, disk, "import_done")
            pending.remove(conn, *location)
            ctx.service.quotas.settle(conn, (ctx.job.id,), owner, stored_bytes=disk.size_bytes)
            detail = {"size_bytes": disk.size_bytes, "job_id": ctx.job.id}
            audit = AuditStep(conn, image_id, owner=ctx.job.project_id, detail=detail)
            ctx.service.operation.record(
                conn, ctx.caller, "capture:complete", "image", audit, "success"
            )
            ctx.complete(conn)
        crashpoint("step.activate.done")
        return None
