"""Which bare-metal backend a node belongs to: there is no row of it, so the backends are asked."""

from collections.abc import Sequence

from imagesvc import errors
from imagesvc.backend.registry import Backends
from imagesvc.interface import baremetal
from imagesvc.manager import backend_search


def find(backends: Backends, project_id: str, node_id: str) -> tuple[str, baremetal.Node]:
    """The id of a node's backend, and the node; as servers are found. Raises NodeNotFound."""

    def ask(one: str) -> baremetal.Node:
        return backends.baremetal(one).get_node(node_id, project_id=project_id)

    return backend_search.find(
        backends, "baremetal", None, ask, errors.NodeNotFound(node_id=node_id)
    )


def list_page(
    backends: Backends, project_id: str, marker: str | None = None, limit: int = 100
) -> Sequence[baremetal.Node]:
    """The nodes that a project may use or has, by id, those after `marker`."""

    def ask(one: str) -> Sequence[baremetal.Node]:
        return backends.baremetal(one).list_nodes(project_id, after=marker, limit=limit)

    return backend_search.list_page(
        backends, "baremetal", None, ask, lambda found: found.node_id, limit
    )
