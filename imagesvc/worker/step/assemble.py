"""The disks of a machine become one image."""

import dataclasses

from imagesvc import errors
from imagesvc.crashpoint import crashpoint
from imagesvc.db import job as job_rows
from imagesvc.domain.image import ImageDisk
from imagesvc.manager import arrival, upload_end
from imagesvc.manager.operation import SUCCESS
from imagesvc.manager.operation import Step as AuditStep
from imagesvc.worker import intake
from imagesvc.worker.flow import Step, StepContext, Wait


class Assemble(Step):
    """Publish all disks in one transaction that also ends the step; memo: result."""

    name = "assemble"
    final = True

    def run(self, ctx: StepContext) -> Wait | None:
        """Insert the disks, importing -> active, quota, audit; parts of an upload go.

        Raises Cancelled, ImageGone, QuotaExceeded, TooLarge for more properties than there may be.
        """
        disks = _disks(ctx)
        size_bytes = sum(disk.size_bytes for disk in disks)
        ctx.memo["result"] = {"image_id": ctx.job.image_id, "disks": len(disks)}
        crashpoint("step.assemble.begin")
        with ctx.service.database.write() as conn:
            if job_rows.fence(conn, ctx.job):
                raise errors.Cancelled(job_id=ctx.job.id)  # the last moment for it
            service = ctx.service
            arrival.assemble(conn, service.quotas, ctx.job, disks, service.guests, service.limits)
            arrival.unmark(conn, ctx.job, ())
            upload_end.doom_parts(conn, ctx.job)
            detail = {
                "size_bytes": size_bytes, "job_id": ctx.job.id, "disks": len(disks),
                "stores": ctx.job.args["stores"], **_source(ctx),
            }  # fmt: skip
            audit = AuditStep(conn, ctx.job.image_id or "", owner=ctx.job.project_id, detail=detail)
            service.operation.record(
                conn, ctx.caller, "image_import:complete", "image", audit, SUCCESS
            )
            ctx.complete(conn)
        crashpoint("step.assemble.done")
        return None


def _disks(ctx: StepContext) -> tuple[ImageDisk, ...]:
    """The first is the one that the machine starts from, unless it is said what each is."""
    made = ctx.results.get("rewrite") or ctx.results["gather"]
    return tuple(
        dataclasses.replace(
            intake.disk(facts),
            index=index,
            role=facts.get("role") or ("data" if index else "system"),
            locations=((facts["store_id"], facts["key"]),),
        )
        for index, facts in enumerate(made["made"])
    )


def _source(ctx: StepContext) -> dict[str, str]:
    """The region and project that the image comes from, if it comes from another region."""
    known = ("source_region", "source_project_id")
    return {name: ctx.job.args[name] for name in known if name in ctx.job.args}
