"""Agencies: which project of which other region may put images into the caller's project."""

import datetime
from typing import Annotated, Any

import falcon
import msgspec

from imagesvc.api import validate
from imagesvc.api.native import query, views
from imagesvc.api.native.answer import Answer
from imagesvc.domain import agency as domain
from imagesvc.manager import agency as agencies

# A word that also fits into a header.
Word = Annotated[
    str, msgspec.Meta(min_length=1, max_length=domain.NAME_LENGTH_MAX, pattern="^[!-~]+$")
]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=domain.NAME_LENGTH_MAX)]


class NewAgency(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Body of a new agency."""

    name: Name
    source_region: Word
    source_project_id: Word


class Agency(Answer):
    """The service of `source_region` may put images of `source_project_id` into the project."""

    id: str
    name: str
    source_region: str
    source_project_id: str
    project_id: str
    created_at: datetime.datetime


class OneAgency(Answer):
    """One agency."""

    agency: Agency


class AgencyPage(Answer):
    """Agencies by name; `next` is the marker of the page after this one."""

    agencies: list[Agency]
    next: str | None


def render(entity: domain.Agency) -> dict[str, Any]:
    """One agency."""
    return {
        "id": entity.id,
        "name": entity.name,
        "source_region": entity.source_region,
        "source_project_id": entity.source_project_id,
        "project_id": entity.project_id,
        "created_at": views.time(entity.created_at),
    }


class AgenciesResource:
    """The agencies of the caller's project."""

    def __init__(self, manager: agencies.AgencyManager) -> None:
        self._agencies = manager

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """List by name."""
        page = query.page(req, set())
        found = self._agencies.list(req.context.caller, marker=page.marker, limit=page.limit)
        resp.media = query.answer("agencies", found, page, render, lambda one: one.name)

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Make one."""
        body = validate.body(req, NewAgency)
        new = domain.NewAgency(**msgspec.structs.asdict(body))
        found = self._agencies.create(req.context.caller, new)
        resp.status = falcon.HTTP_201
        resp.media = {"agency": render(found)}


class AgencyResource:
    """One agency."""

    def __init__(self, manager: agencies.AgencyManager) -> None:
        self._agencies = manager

    def on_get(self, req: falcon.Request, resp: falcon.Response, agency_id: str) -> None:
        """Show it."""
        query.known(req, set())
        resp.media = {"agency": render(self._agencies.get(req.context.caller, agency_id))}

    def on_delete(self, req: falcon.Request, resp: falcon.Response, agency_id: str) -> None:
        """End it; what still comes by it is given up."""
        query.known(req, set())
        self._agencies.delete(req.context.caller, agency_id)
        resp.status = falcon.HTTP_204
