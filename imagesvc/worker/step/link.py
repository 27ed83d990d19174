"""The bytes of a foreign URL read whole, and kept nowhere."""

import dataclasses
from typing import Any

from imagesvc import errors
from imagesvc.crashpoint import crashpoint
from imagesvc.db import job as job_rows
from imagesvc.domain.image import Image
from imagesvc.manager import arrival, foreign_link
from imagesvc.manager.operation import Step as AuditStep
from imagesvc.stream import pipe
from imagesvc.worker import intake, landing, origin
from imagesvc.worker.flow import Step, StepContext, Wait

# What a caller says by another algorithm is compared, and the image shows one of these.
_STRONG = frozenset({"sha256", "sha512"})


class Link(Step):
    """Judge and hash what is at the URL; the image gets what was found, in one transaction."""

    name = "link"
    final = True

    def run(self, ctx: StepContext) -> Wait | None:
        """Read; a second run begins anew.

        Raises UnsupportedImage, TooLarge, InvalidRequest, ImageGone, and Conflict for an image that
        was given another format meanwhile.
        """
        crashpoint("step.link.begin")
        try:
            judged = intake.image_of(ctx)
            result = _read(ctx, judged)
        except (errors.UnsupportedImage, errors.TooLarge):  # but the image may be in use already
            _refuse(ctx)
            raise
        crashpoint("step.link.read")
        with ctx.service.database.write() as conn:
            if job_rows.fence(conn, ctx.job):
                raise errors.Cancelled(job_id=ctx.job.id)  # the last moment for it
            foreign_link.settle(conn, ctx.job, judged, intake.disk(intake.facts(result)))
            arrival.unmark(conn, ctx.job, ())
            _record(ctx, conn, "image_import:complete", size_bytes=result.size_bytes)
            ctx.complete(conn)
        crashpoint("step.link.done")
        return None


def _read(ctx: StepContext, image: Image) -> pipe.PipeResult:
    said = landing.said(ctx.job.args)
    rules = ctx.service.rules
    strong = [algorithm for algorithm in said if algorithm in _STRONG]
    if strong:
        rules = dataclasses.replace(rules, hash_algorithm=strong[0])
    with origin.open_body(ctx) as body:
        came = landing.Hashed(body, said.keys() - rules.algorithms)
        # What an active image was said to be when it became so, it has to be.
        total = body.size if image.size_bytes is None else image.size_bytes
        result = rules.pump(
            came,
            pipe.Nowhere(),
            disk_format=image.disk_format or "",
            container_format=image.container_format,
            expected_bytes=total,
            progress=lambda done: ctx.progress(done, total),
        )
    landing.digest_check(said, came)(result)
    return result


def _refuse(ctx: StepContext) -> None:
    with ctx.service.database.write() as conn:
        job_rows.fence(conn, ctx.job)
        if foreign_link.refuse(conn, ctx.job):
            _record(ctx, conn, "image:deactivate")


def _record(ctx: StepContext, conn: Any, action: str, **detail: Any) -> None:
    detail["job_id"] = ctx.job.id
    audit = AuditStep(conn, ctx.job.image_id or "", owner=ctx.job.project_id, detail=detail)
    ctx.service.operation.record(conn, ctx.caller, action, "image", audit, "success")
