"""The paths of the identity door."""

from typing import Any

from imagesvc.api.identity import catalog, project, token, version


def table(service: Any) -> list[tuple[str, Any]]:
    """Path template -> resource."""
    return [
        ("/v3", version.VersionResource(service)),
        ("/v3/", version.VersionResource(service)),
        ("/v3/auth/tokens", token.LoginResource(service)),
        ("/v3/auth/catalog", catalog.CatalogResource(service)),
        ("/v3/auth/projects", project.ProjectsResource(service, own=True)),
        ("/v3/auth/domains", project.DomainsResource(service)),
        ("/v3/projects", project.ProjectsResource(service, own=False)),
        ("/v3/projects/{project_id}", project.ProjectResource(service)),
    ]
