"""Questions and orders to Ironic: Bare Metal API v1, microversion 1.65 (release 15.1, 2020).

It is spoken as the service's own user, who has to be an administrator of Ironic.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from imagesvc.interface import errors

if TYPE_CHECKING:
    from imagesvc_drivers.client.openstack import Cloud

VERSION = "1.65"
_PAGE = 500
# Ironic answers so while one of its own workers has the node for a moment.
_AGAIN = {"retriable_status_codes": (409, 503), "status_code_retries": 2}

Node = dict[str, Any]


class IronicClient:
    """Safe for many threads. Every call raises Unavailable, Timeout, AccessDenied."""

    def __init__(self, cloud: "Cloud") -> None:
        self._cloud = cloud

    def node(self, node_id: str) -> Node:
        """One node. Raises NotFound."""
        try:
            found: Node = self._ask("GET", f"/nodes/{node_id}")
        except errors.NotFound as exc:
            raise not_found(node_id, exc.operator_message) from exc
        return found

    def nodes(self) -> Iterator[Node]:
        """All nodes, by id."""
        yield from self._pages("/nodes/detail", "nodes")

    def patch(self, node_id: str, changes: Sequence[tuple[str, str, Any]]) -> Node:
        """Change fields, all or none: (add or remove, path, value). Raises Busy, NotFound."""
        body = [
            {"op": verb, "path": path} | ({} if verb == "remove" else {"value": value})
            for verb, path, value in changes
        ]
        found: Node = self._ask("PATCH", f"/nodes/{node_id}", json=body, **_AGAIN)
        return found

    def provision(self, node_id: str, target: str) -> None:
        """Ask for a change of the provision state. Raises Busy, InvalidArgument, NotFound."""
        path = f"/nodes/{node_id}/states/provision"
        self._ask("PUT", path, json={"target": target}, **_AGAIN)

    def version(self) -> str:
        """The newest microversion that it speaks."""
        found = self._ask("GET", "/")
        return str(found["version"]["version"])

    def chassis(self, chassis_id: str) -> dict[str, Any]:
        """One chassis. Raises NotFound."""
        found: dict[str, Any] = self._ask("GET", f"/chassis/{chassis_id}")
        return found

    def every_chassis(self) -> Iterator[dict[str, Any]]:
        """All of them, by id."""
        yield from self._pages("/chassis/detail", "chassis")

    def create_chassis(self, body: dict[str, Any]) -> None:
        """Make one of this `uuid`. Raises Busy if it is there."""
        self._ask("POST", "/chassis", json=body)

    def delete_chassis(self, chassis_id: str) -> None:
        """Remove one. Raises NotFound."""
        self._ask("DELETE", f"/chassis/{chassis_id}")

    def _pages(self, path: str, name: str) -> Iterator[dict[str, Any]]:
        after: dict[str, str] = {}
        while True:
            params = {"limit": str(_PAGE), "sort_key": "uuid", **after}
            page = self._ask("GET", path, params=params)[name]
            yield from page
            if len(page) < _PAGE:
                return
            after = {"marker": page[-1]["uuid"]}

    def _ask(self, method: str, path: str, **named: Any) -> Any:
        return self._cloud.ask(
            self._cloud.own(), "baremetal", method, path, microversion=VERSION, **named
        )


def not_found(node_id: str, operator_message: str = "") -> errors.NotFound:
    """What is said of a node that the project may not use, or that is not there."""
    return errors.NotFound(f"No node {node_id} was found.", operator_message)
