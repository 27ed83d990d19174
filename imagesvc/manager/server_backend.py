"""Which compute backend a server lives on: there is no row of it, so the backends are asked."""

import heapq
import itertools
from collections.abc import Sequence

from imagesvc import errors
from imagesvc.backend.registry import Backends
from imagesvc.interface import compute
from imagesvc.interface.errors import DriverError, NotFound


def find(
    backends: Backends, project_id: str, server_id: str, compute_id: str | None = None
) -> tuple[str, compute.Server]:
    """The id of a server's backend, and the server.

    Without `compute_id` every enabled compute backend is asked, the default one first. Raises
    ServerNotFound when all have answered no, and the failure of one that did not answer.
    """
    failure: Exception | None = None
    for backend_id in _asked(backends, compute_id):
        try:
            found = backends.compute(backend_id).get_server(server_id, project_id=project_id)
            return backend_id, found
        except NotFound:  # it may live on the next one
            continue
        except (DriverError, errors.BackendFailed) as exc:  # told only if no other has it
            failure = failure or exc
    if failure is not None:
        raise failure
    raise errors.ServerNotFound(server_id=server_id)


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
    pages = [
        backends.compute(backend_id).list_servers(project_id, after=marker, limit=limit)
        for backend_id in _asked(backends, compute_id)
    ]
    merged = heapq.merge(*pages, key=lambda server: server.server_id)
    return list(itertools.islice(merged, limit))


def _asked(backends: Backends, compute_id: str | None) -> Sequence[str]:
    if compute_id is not None:
        backends.status("compute", compute_id)  # raises for one that is not configured
        return (compute_id,)
    default = backends.default_id("compute")
    return sorted(backends.ids("compute"), key=lambda backend_id: backend_id != default)
