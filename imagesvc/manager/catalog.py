"""The catalog of public images as administrators see it: what there is, is planned, and is begun."""

import dataclasses
import datetime
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from imagesvc import errors
from imagesvc.context import RequestContext
from imagesvc.db import attempt, metadata
from imagesvc.db import catalog as catalog_rows
from imagesvc.db import image as image_rows
from imagesvc.db import job as job_rows
from imagesvc.domain import catalog_family, catalog_lock
from imagesvc.domain.catalog import NOTHING, Allowance, FamilyState, Published
from imagesvc.domain.catalog_family import CatalogFamily
from imagesvc.domain.catalog_lock import LockedFamily
from imagesvc.domain.catalog_plan import FamilyPlan
from imagesvc.domain.job import Job, JobType
from imagesvc.domain.state import JOB_ENDED
from imagesvc.manager.catalog_option import LANE
from imagesvc.manager.catalog_source import CatalogSource
from imagesvc.manager.catalog_sync import CatalogSync
from imagesvc.manager.job import JobManager
from imagesvc.manager.operation import Operation
from imagesvc.policy.check import Enforcer

LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, slots=True)
class FamilyDetail:
    """A family, what is known of it, its published release, and why it is late."""

    family: CatalogFamily
    state: FamilyState
    published: Published | None
    overdue: str | None


class CatalogManager:
    """For administrators; the worker does what is begun here."""

    def __init__(
        self,
        operation: Operation,
        enforcer: Enforcer,
        jobs: JobManager,
        source: CatalogSource,
        sync: CatalogSync,
        *,
        owner_project: str,
        stores: Sequence[str],
        max_age_days: int,
        output_format: str,
        prunes: bool,
    ) -> None:
        self._operation = operation
        self._enforcer = enforcer
        self._jobs = jobs
        self._source = source
        self._sync = sync
        self._owner = owner_project
        self._stores = tuple(stores)
        self._max_age_days = max_age_days
        self._output_format = output_format
        self._prunes = prunes

    def list(self, ctx: RequestContext) -> tuple[FamilyDetail, ...]:
        """All families by id. Raises Forbidden."""
        self._authorize(ctx, "catalog:list")
        return self._details()

    def get(self, ctx: RequestContext, name: str) -> tuple[FamilyDetail, tuple[Published, ...]]:
        """A family and its releases that are there, newest first. Raises FamilyNotFound."""
        found = next((one for one in self.list(ctx) if one.family.id == name), None)
        if found is None:
            raise errors.FamilyNotFound(family=name)
        with self._operation.database.read() as conn:
            return found, catalog_rows.releases(conn, name)

    def plan(
        self,
        ctx: RequestContext,
        name: str,
        allowed: Allowance = NOTHING,
        locked: LockedFamily | None = None,
    ) -> FamilyPlan:
        """What a sync of a family would do now; asks its source, and changes nothing.

        What would fail is told as the plan's cause. Raises Forbidden, FamilyNotFound.
        """
        self._authorize(ctx, "catalog:plan")
        try:
            return FamilyPlan(name, self._sync.decide(name, allowed, locked).steps)
        except errors.CatalogRefused as exc:  # one family's fault is a line of the whole plan
            return FamilyPlan(name, cause=str(exc.facts["cause"]))
        except errors.FetchFailed as exc:  # the operator wrote the URL: he may know what is there
            return FamilyPlan(name, cause=f"{exc.operator_message}.")

    def sync(
        self,
        ctx: RequestContext,
        names: Sequence[str] = (),
        allowed: Allowance = NOTHING,
        locked: Mapping[str, LockedFamily] | None = None,
    ) -> tuple[Job, ...]:
        """Hand in a job for each family, all that are enabled without names.

        A family whose job has not ended gets no second one: that job is given. With `locked` the
        sources are not asked: of these entries each is taken, and families without one are left
        out. Raises Forbidden, FamilyNotFound.
        """
        self._authorize(ctx, "catalog:sync")
        known = {one.id: one for one in self._source.families()}
        wanted = names or [one.id for one in known.values() if one.enabled]
        for name in wanted:
            if name not in known:
                raise errors.FamilyNotFound(family=name)
        if locked is not None:
            wanted = [name for name in wanted if name in locked]
        return tuple(
            self._begin(ctx, known[name], allowed, (locked or {}).get(name)) for name in wanted
        )

    @attempt.again
    def _begin(
        self,
        ctx: RequestContext,
        family: CatalogFamily,
        allowed: Allowance,
        locked: LockedFamily | None,
    ) -> Job:
        with self._operation.database.write() as conn:
            open_job = self._open_job(conn, family.id)
        if open_job is not None:
            return open_job
        owned = dataclasses.replace(ctx, project_id=self._owner)
        with self._operation.write(ctx, "catalog:sync", "catalog", family.id) as op:
            former_id = catalog_rows.state(op.conn, family.id).job_id
            job_id, image_id = self._jobs.new_id(), self._jobs.new_id()
            if not catalog_rows.claim(op.conn, family.id, job_id, former_id):
                raise errors.Conflict("Another sync of {family} begins just now.", family=family.id)
            job = self._jobs.submit(
                op.conn, owned, JobType.SYNC_CATALOG, self._arguments(family, allowed, locked),
                image_id=image_id, job_id=job_id, lane=LANE,
            )  # fmt: skip
            op.owner = self._owner
            op.detail.update(job_id=job.id, **allowed.arguments())
            return job

    def _open_job(self, conn: Any, name: str) -> Job | None:
        state = catalog_rows.state(conn, name)
        job = job_rows.get(conn, state.job_id) if state.job_id else None
        return None if job is None or job.state in JOB_ENDED else job

    def _arguments(
        self, family: CatalogFamily, allowed: Allowance, locked: LockedFamily | None
    ) -> dict[str, Any]:
        kept = {"locked": catalog_lock.plain(locked)} if locked is not None else {}
        converted = {"output_format": self._output_format} if self._output_format else {}
        return {
            "family": family.id,
            "source_format": family.disk_format,
            "stores": list(self._stores),
            "all_must_succeed": True,
            "unpack": True,
            "prune": self._prunes,
            **allowed.arguments(),
            **kept,
            **converted,
        }

    @attempt.again
    def rollback(self, ctx: RequestContext, name: str) -> tuple[Published, Published]:
        """The build before is the newest again; what was rolled back, and what is there now.

        The one that was rolled back stays usable by id, and is not taken again by itself. Raises
        Forbidden, FamilyNotFound, Conflict if there is no build before it.
        """
        self._authorize(ctx, "catalog:rollback")
        with self._operation.write(ctx, "catalog:rollback", "catalog", name) as op:
            before, after = self._sync.rollback(op.conn, name)
            op.owner = self._owner
            op.detail.update(image_id=after.image_id, former_image_id=before.image_id)
            return before, after

    def lock(self, ctx: RequestContext) -> str:
        """The lock file of what is published now. Raises Forbidden."""
        self._authorize(ctx, "catalog:list")
        with self._operation.database.read() as conn:
            return catalog_lock.text(catalog_rows.locked(conn))

    @attempt.again
    def verify(self, ctx: RequestContext, image_ids: Sequence[str] = ()) -> tuple[Job, ...]:
        """Hand in a job for each image, every published one without ids.

        Raises Forbidden, ImageNotFound for one that is not of the catalog.
        """
        self._authorize(ctx, "catalog:verify")
        owned = dataclasses.replace(ctx, project_id=self._owner)
        with self._operation.write(ctx, "catalog:verify", "catalog", "-") as op:
            wanted = image_ids or [one.image_id for one in catalog_rows.releases(op.conn)]
            for image_id in wanted:
                if not image_rows.get(op.conn, image_id) or not catalog_rows.get(op.conn, image_id):
                    raise errors.ImageNotFound(image_id=image_id)
            op.owner = self._owner
            op.detail["images"] = len(wanted)
            return tuple(
                self._jobs.submit(
                    op.conn, owned, JobType.VERIFY_CATALOG, {}, image_id=image_id, lane=LANE
                )
                for image_id in wanted
            )

    def late(self) -> Mapping[str, str]:
        """Families that are overdue, and why; without a caller, for metrics and health."""
        return {one.family.id: one.overdue for one in self._details() if one.overdue is not None}

    def _details(self) -> tuple[FamilyDetail, ...]:
        now = metadata.now()
        families = self._source.families()
        with self._operation.database.read() as conn:
            states = catalog_rows.states(conn)
            published = {one.release.family: one for one in catalog_rows.locked(conn)}
        return tuple(
            self._detail(
                one, states.get(one.id, FamilyState(one.id)), published.get(one.id), now
            )
            for one in families
        )  # fmt: skip

    def _detail(
        self,
        family: CatalogFamily,
        state: FamilyState,
        published: Published | None,
        now: datetime.datetime,
    ) -> FamilyDetail:
        late = catalog_family.overdue(
            family,
            now,
            published_at=published.published_at if published else None,
            checked_at=state.checked_at,
            max_age_days=self._max_age_days,
        )
        return FamilyDetail(family, state, published, late)

    def _authorize(self, ctx: RequestContext, action: str) -> None:
        with self._operation.look(ctx, action, "catalog"):
            self._enforcer.authorize(ctx, action)
