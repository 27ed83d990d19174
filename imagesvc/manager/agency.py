"""Agencies: which project of which other region may put images into a project here."""

import dataclasses
import uuid

from imagesvc import errors
from imagesvc.context import Agent, RequestContext
from imagesvc.db import agency as agency_rows
from imagesvc.db import attempt, metadata
from imagesvc.db import region_image as region_image_rows
from imagesvc.domain.agency import Agency, Claim, NewAgency
from imagesvc.manager.operation import Operation
from imagesvc.manager.region import Regions
from imagesvc.manager.region_image import RegionImageManager
from imagesvc.policy.check import Enforcer

_NOUN = "agency"
_ENDED = "The agency was deleted."
# What the service of another region may be in the project that an agency names.
_AGENT_ROLES = frozenset({"member"})


class AgencyManager:
    """Make, list, delete; and the one place where an agency is asked for."""

    def __init__(
        self,
        operation: Operation,
        enforcer: Enforcer,
        regions: Regions,
        images: RegionImageManager,
    ) -> None:
        self._operation = operation
        self._enforcer = enforcer
        self._regions = regions
        self._images = images

    @attempt.again
    def create(self, ctx: RequestContext, new: NewAgency) -> Agency:
        """Let a project of another region put images into the caller's project.

        Raises Forbidden, InvalidRequest for this region, Conflict for one that is there.
        """
        agency_id = str(uuid.uuid4())
        with self._operation.write(ctx, f"{_NOUN}:create", _NOUN, agency_id) as op:
            self._enforcer.authorize(ctx, f"{_NOUN}:create")
            if new.source_region == self._regions.here:
                raise errors.InvalidRequest("An agency names another region, and not this one.")
            agency = Agency(
                id=agency_id,
                name=new.name,
                source_region=new.source_region,
                source_project_id=new.source_project_id,
                project_id=ctx.project_id or "",
                project_name=ctx.project_name,
                user_id=ctx.user_id,
                created_at=metadata.now(),
            )
            agency_rows.insert(op.conn, agency)
            op.detail.update(_detail(agency))
            return agency

    def list(
        self, ctx: RequestContext, *, marker: str | None = None, limit: int = 25
    ) -> tuple[Agency, ...]:
        """Those of the caller's project by name; `marker` is a name. Raises Forbidden."""
        with self._operation.look(ctx, f"{_NOUN}:list", _NOUN):
            self._enforcer.authorize(ctx, f"{_NOUN}:list")
        with self._operation.database.read() as conn:
            return agency_rows.list_page(conn, ctx.project_id or "", marker, limit)

    def get(self, ctx: RequestContext, agency_id: str) -> Agency:
        """Show one of the caller's project. Raises AgencyNotFound, Forbidden."""
        with self._operation.look(ctx, f"{_NOUN}:get", _NOUN, agency_id):
            self._enforcer.authorize(ctx, f"{_NOUN}:get")
            with self._operation.database.read() as conn:
                return agency_rows.get(conn, agency_id, ctx.project_id or "")

    def delete(self, ctx: RequestContext, agency_id: str) -> None:
        """End it: no request by it is taken from now on, and images that still came by it go.

        Raises AgencyNotFound, Forbidden.
        """
        for image_id in self._delete(ctx, agency_id):
            self._images.give_up(ctx, image_id, _ENDED)

    @attempt.again
    def _delete(self, ctx: RequestContext, agency_id: str) -> tuple[str, ...]:
        with self._operation.write(ctx, f"{_NOUN}:delete", _NOUN, agency_id) as op:
            self._enforcer.authorize(ctx, f"{_NOUN}:delete")
            agency = agency_rows.get(op.conn, agency_id, ctx.project_id or "")
            agency_rows.delete(op.conn, agency_id, agency.project_id)
            op.detail.update(_detail(agency))
            return region_image_rows.unfinished(op.conn, agency_id)

    def act(self, ctx: RequestContext, claim: Claim) -> RequestContext:
        """The caller as whom an agency lets the service of another region work here.

        Raises Forbidden for a caller without the role service, for one that does not speak for
        the region, and where no agency names region, source project and target project.
        """
        with self._operation.look(ctx, f"{_NOUN}:act", _NOUN) as op:
            op.detail.update(
                source_region=claim.source_region, source_project_id=claim.source_project_id
            )
            self._enforcer.authorize(ctx, f"{_NOUN}:act")
            self._regions.check_caller(ctx, claim.source_region)
            with self._operation.database.read() as conn:
                agency = agency_rows.find(conn, claim)
            if agency is None:
                raise claim.refusal()
        return dataclasses.replace(
            ctx,
            project_id=agency.project_id,
            project_name=agency.project_name,
            roles=_AGENT_ROLES,
            is_admin=False,
            agent=Agent(agency.id, agency.source_region, agency.source_project_id),
        )


def _detail(agency: Agency) -> dict[str, str]:
    return {
        "name": agency.name,
        "source_region": agency.source_region,
        "source_project_id": agency.source_project_id,
    }
