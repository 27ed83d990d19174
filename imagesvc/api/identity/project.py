"""Projects and domains, as far as clients ask for them."""

from typing import Any

import falcon

from imagesvc import errors
from imagesvc.api.identity import catalog
from imagesvc.interface import identity

DOMAIN_NAME = "Default"


def render_domain(domain_id: str | None) -> dict[str, str]:
    """A domain inside of another answer."""
    return {"id": domain_id or "default", "name": DOMAIN_NAME}


def render(project: identity.Project, root: str) -> dict[str, Any]:
    """One project."""
    return {
        "id": project.project_id,
        "name": project.name,
        "domain_id": project.domain_id,
        "parent_id": project.domain_id,
        "is_domain": False,
        "enabled": True,
        "description": "",
        "tags": [],
        "options": {},
        "links": {"self": f"{root}/v3/projects/{project.project_id}"},
    }


class ProjectsResource:
    """Projects of the caller; all for an administrator.

    A project named exactly by `?name=` is found by any caller: images are offered to projects
    by name. The collection at `/v3/auth/projects` never shows more than the caller's own.
    """

    def __init__(self, service: Any, *, own: bool) -> None:
        self._identity: identity.IdentityDriver = service.identity
        self._catalog = catalog.Catalog(service)
        self._own = own

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """List them."""
        caller = req.context.caller
        name = None if self._own else req.get_param("name")
        every = name is not None or (caller.is_admin and not self._own)
        root = self._catalog.root(req)
        resp.media = {
            "projects": [
                render(project, root)
                for project in self._identity.list_projects(None if every else caller.user_id)
                if name is None or project.name == name
            ],
            "links": {"self": root + req.path, "previous": None, "next": None},
        }


class ProjectResource:
    """One project by its id, never by its name."""

    def __init__(self, service: Any) -> None:
        self._identity: identity.IdentityDriver = service.identity
        self._catalog = catalog.Catalog(service)

    def on_get(self, req: falcon.Request, resp: falcon.Response, project_id: str) -> None:
        """Show it."""
        found = self._identity.find_project(project_id)
        if found.project_id != project_id:
            raise errors.ProjectNotFound(project=project_id)
        resp.media = {"project": render(found, self._catalog.root(req))}


class DomainsResource:
    """The one domain."""

    def __init__(self, service: Any) -> None:
        self._catalog = catalog.Catalog(service)

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """List it."""
        root = self._catalog.root(req)
        domain = render_domain(req.context.identity.domain_id)
        resp.media = {
            "domains": [
                {**domain, "enabled": True, "links": {"self": f"{root}/v3/domains/{domain['id']}"}}
            ],
            "links": {"self": root + req.path, "previous": None, "next": None},
        }
