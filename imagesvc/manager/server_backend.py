"""Which compute backend a server lives on: there is no row of it, so the backends are asked."""

from collections.abc import Sequence

from imagesvc import errors
from imagesvc.backend.registry import Backends
from imagesvc.interface import compute
from imagesvc.manager import backend_search


def find(
    backends: Backends, project_id: str, server_id: str, compute_id: str | None = None
) -> tuple[str, compute.Server]:
    """The id of a server's backend, and the server.

    Without `compute_id` every enabled compute backend is asked, the default one first. Raises
    ServerNotFound when all have answered no, and the failure of one that did not answer.
    """

    def ask(backend_id: str) -> compute.Server:
        return backends.compute(backend_id).get_server(server_id, project_id=project_id)

    missing = errors.ServerNotFound(server_id=server_id)
    return backend_search.find(backends, "compute", compute_id, ask, missing)


def list_page(
    backends: Backends,
    project_id: str,
    compute_id: str | None = None,
    marker: str | None = None,
    limit: int = 100,
) -> Sequence[compute.Server]:
    """A project's servers of one or of all backends, by id, those after `marker`.

    Raises what a backend raises: a list with a part missing would look whole.
    """

    def ask(backend_id: str) -> Sequence[compute.Server]:
        driver = backends.compute(backend_id)
        return driver.list_servers(project_id, after=marker, limit=limit)

    return backend_search.list_page(
        backends, "compute", compute_id, ask, lambda server: server.server_id, limit
    )
