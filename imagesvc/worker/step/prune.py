"""Old images of a catalog's family leave with its sync."""

import logging

from imagesvc.context import service_context
from imagesvc.crashpoint import crashpoint
from imagesvc.db import catalog_use
from imagesvc.domain.job import Job
from imagesvc.worker.flow import Step, StepContext, Wait

LOG = logging.getLogger(__name__)


class Prune(Step):
    """Delete what nothing protects, after the release; memo: planned, result.

    Each image is deleted in a transaction of its own. What fails is told to the operator and leaves
    the release as it is; the next sync prunes again.
    """

    name = "prune"

    def applies(self, job: Job) -> bool:
        """Only where the operator wants it."""
        return bool(job.args.get("prune"))

    def run(self, ctx: StepContext) -> Wait | None:
        """Raises FamilyNotFound for a family that left the catalog meanwhile."""
        crashpoint("step.prune.begin")
        pruner, family = ctx.service.catalog.pruner, ctx.job.args["family"]
        caller = service_context(ctx.job.request_id, ctx.job.project_id)
        plans, _ = pruner.plan(caller, [family])
        # Those of a worker that died in the middle of it are among what was pruned.
        planned = [*ctx.memo.get("planned", ()), *(one for plan in plans for one in plan.images)]
        ctx.memo["planned"] = list(dict.fromkeys(planned))
        crashpoint("step.prune.planned")
        ctx.check()
        pruner.carry_out(caller, plans)
        with ctx.service.database.read() as conn:
            there = catalog_use.of(conn, ctx.memo["planned"])
        gone = [one for one in ctx.memo["planned"] if one not in there]
        for image_id in gone:
            LOG.info("pruned after sync family=%s image_id=%s", family, image_id)
        crashpoint("step.prune.pruned")
        ctx.memo["result"] = {**ctx.results["release"]["result"], "pruned": gone}
        crashpoint("step.prune.done")
        return None
