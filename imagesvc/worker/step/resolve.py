"""The newest release of a family of the catalog is found out, and judged."""

from collections.abc import Callable, Mapping
from typing import TypeVar

from imagesvc import errors
from imagesvc.crashpoint import crashpoint
from imagesvc.db import catalog as catalog_rows
from imagesvc.db import job as job_rows
from imagesvc.domain import catalog_lock, catalog_plan
from imagesvc.domain.catalog import Release
from imagesvc.manager import catalog_sync
from imagesvc.manager.catalog_sync import Decision
from imagesvc.worker.flow import Step, StepContext, Wait

_Found = TypeVar("_Found")


class Resolve(Step):
    """Ask the source, and make the record of an image for what is new.

    Memo: digest, expected_bytes (of what is to be fetched), steps (the plan), and is_new; of what is not
    new also signed_at, when its list was signed.
    """

    name = "resolve"

    def run(self, ctx: StepContext) -> Wait | None:
        """Raises CatalogRefused, FamilyNotFound, QuotaExceeded.

        Once the record is made its release stays: a source that has another by now is not asked.
        """
        if "is_new" in ctx.memo:
            return None
        crashpoint("step.resolve.begin")
        with ctx.service.database.read() as conn:
            known = catalog_rows.coming(conn, ctx.job.image_id or "")
        if known is None:
            _decide(ctx)
        else:  # a kill came between the record and the memo
            _keep(ctx, known)
        crashpoint("step.resolve.done")
        return None


def _decide(ctx: StepContext) -> None:
    decision = _ask(ctx)
    release = decision.found.release
    ctx.memo["steps"] = catalog_plan.plain(decision.steps)
    if not decision.steps:
        signed = {"signed_at": release.signature.made_at.isoformat()} if release.signature else {}
        ctx.memo.put(is_new=False, build=release.build, **signed)
        return
    with ctx.service.database.write() as conn:
        job_rows.fence(conn, ctx.job)
        ctx.service.catalog.sync.bear(conn, ctx.job, decision.found)
    crashpoint("step.resolve.born")
    _keep(ctx, release)


def _ask(ctx: StepContext) -> Decision:
    family, args = ctx.job.args["family"], ctx.job.args
    locked = None
    if "locked" in args:
        locked = catalog_lock.entry(args["locked"])
    return told(
        family,
        lambda: ctx.service.catalog.sync.decide(family, catalog_sync.allowance(args), locked),
    )


def told(family: str, work: Callable[[], _Found]) -> _Found:
    """What `work` gives. Raises CatalogRefused with the cause of a fetch that failed.

    A user must not learn which hosts there are; of the catalog's sources the operator wrote them.
    """
    try:
        return work()
    except errors.FetchFailed as exc:
        raise errors.CatalogRefused(family=family, cause=f"{exc.operator_message}.") from exc


def _keep(ctx: StepContext, release: Release) -> None:
    size: Mapping[str, int] = (
        {} if release.size_bytes is None else {"expected_bytes": release.size_bytes}
    )
    ctx.memo.put(is_new=True, build=release.build, digest=list(release.digest), **size)


def is_new(ctx: StepContext) -> bool:
    """Whether the job found something new."""
    return bool(ctx.results["resolve"].get("is_new"))
