"""The steps that take a release of the catalog; they do nothing where there is nothing new."""

import datetime
from collections.abc import Mapping
from typing import Any

from imagesvc import errors
from imagesvc.crashpoint import crashpoint
from imagesvc.db import image as image_rows
from imagesvc.db import job as job_rows
from imagesvc.manager import arrival
from imagesvc.manager.operation import Step as AuditStep
from imagesvc.worker.flow import Step, StepContext, Wait
from imagesvc.worker.step import resolve, spread
from imagesvc.worker.step.convert import Convert
from imagesvc.worker.step.fetch import Fetch
from imagesvc.worker.step.spread import Spread


class FetchRelease(Fetch):
    """As `Fetch`, from the family's source."""

    def run(self, ctx: StepContext) -> Wait | None:
        """Raises what `Fetch` does, and CatalogRefused with the cause of a fetch that failed."""
        if not resolve.is_new(ctx):
            return None
        fetch = super().run
        return resolve.told(ctx.job.args["family"], lambda: fetch(ctx))


class ConvertRelease(Convert):
    """As `Convert`."""

    def run(self, ctx: StepContext) -> Wait | None:
        """Raises what `Convert` does."""
        return super().run(ctx) if resolve.is_new(ctx) else None


class SpreadRelease(Spread):
    """As `Spread`."""

    def run(self, ctx: StepContext) -> Wait | None:
        """Raises what `Spread` does."""
        return super().run(ctx) if resolve.is_new(ctx) else None


class Release(Step):
    """Publish: the image is active and public, is what its family means, and the former one is
    hidden, all in one transaction that ends the step; memo: result.
    """

    name = "release"
    final = True

    def run(self, ctx: StepContext) -> Wait | None:
        """Raises Cancelled, ImageGone, QuotaExceeded."""
        found = ctx.results["resolve"]
        ctx.memo["result"] = {
            "family": ctx.job.args["family"],
            "build": found["build"],
            "is_new": found["is_new"],
            "steps": found["steps"],
        }
        crashpoint("step.release.begin")
        with ctx.service.database.write() as conn:
            if job_rows.fence(conn, ctx.job):
                raise errors.Cancelled(job_id=ctx.job.id)  # the last moment for it
            if found["is_new"]:
                _publish(ctx, conn)
            else:
                ctx.service.catalog.sync.unchanged(conn, ctx.job.args["family"], _signed_at(found))
            ctx.complete(conn)
        crashpoint("step.release.done")
        return None


def _signed_at(found: Mapping[str, Any]) -> datetime.datetime | None:
    """When the list was signed that has nothing new."""
    said = found.get("signed_at")
    return datetime.datetime.fromisoformat(said) if said else None


def _publish(ctx: StepContext, conn: Any) -> None:
    service, image_id = ctx.service, ctx.job.image_id or ""
    origin = spread.origin_of(ctx)
    held = spread.held(ctx, origin, ctx.results["spread"])
    arrival.arrive(conn, service.quotas, ctx.job, origin, held, service.guests, service.limits)
    image_rows.set_properties(conn, image_id, {}, arrival.MARKS)
    service.catalog.sync.publish(conn, image_id)
    detail = {
        "family": ctx.job.args["family"],
        "build": ctx.results["resolve"]["build"],
        "digest": ctx.results["resolve"]["digest"],
        "size_bytes": origin.size_bytes,
        "job_id": ctx.job.id,
    }
    audit = AuditStep(conn, image_id, owner=ctx.job.project_id, detail=detail)
    service.operation.record(conn, ctx.caller, "catalog:publish", "image", audit, "success")
