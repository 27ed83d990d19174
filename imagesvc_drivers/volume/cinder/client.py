"""Questions and orders to Cinder: Block Storage API v3, microversion 3.44 (Queens, 2018).

It is spoken as the service's own user in the project that owns the volume.
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from openstack.connection import Connection

    from imagesvc_drivers.client.openstack import Cloud

VERSION = "3.44"
_PAGE = 500
# Of these marks in a volume's metadata, `WORK` and `INDEX` say which creation made it and as which
# of its volumes, `IMAGE` of what, `MADE` that the creation is through, `DOOMED` that it is undone.
WORK, INDEX, IMAGE, MADE, DOOMED = (
    f"imagesvc_{name}" for name in ("work", "index", "image", "made", "doomed")
)

Volume = dict[str, Any]


class CinderClient:
    """One project; safe for many threads. Every call raises Unavailable, Timeout, AccessDenied."""

    def __init__(self, cloud: "Cloud", connection: "Connection") -> None:
        self._cloud = cloud
        self._connection = connection

    def volume(self, volume_id: str) -> Volume:
        """One volume. Raises NotFound."""
        found: Volume = self._ask("GET", f"/volumes/{volume_id}")["volume"]
        return found

    def volumes(self, metadata: Mapping[str, str] | None = None) -> Iterator[Volume]:
        """All volumes of the project, or those with these marks, by id."""
        only = {} if metadata is None else {"metadata": repr(dict(metadata))}
        yield from self._pages("/volumes/detail", "volumes", only)

    def create_volume(self, body: Mapping[str, Any]) -> Volume:
        """Begin to make one. Raises InvalidArgument, NoSpace where the quota is used up."""
        made: Volume = self._ask("POST", "/volumes", json={"volume": body})["volume"]
        return made

    def mark(self, volume_id: str, marks: Mapping[str, str]) -> None:
        """Add marks to a volume's metadata. Raises NotFound."""
        self._ask("POST", f"/volumes/{volume_id}/metadata", json={"metadata": marks})

    def delete_volume(self, volume_id: str) -> None:
        """Begin to remove one. Raises NotFound, InvalidArgument in a state that forbids it."""
        self._ask("DELETE", f"/volumes/{volume_id}")

    def act(self, volume_id: str, action: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """An action on a volume. Raises NotFound, InvalidArgument in a state that forbids it."""
        done: dict[str, Any] = self._ask(
            "POST", f"/volumes/{volume_id}/action", json={action: body}
        )
        return done

    def attachments(self, volume_id: str | None = None) -> list[dict[str, Any]]:
        """Who has a volume, or each volume of the project."""
        only = {} if volume_id is None else {"volume_id": volume_id}
        return list(self._pages("/attachments/detail", "attachments", only))

    def create_attachment(self, volume_id: str, server_id: str) -> None:
        """Reserve a volume for a server. Raises InvalidArgument if another has it."""
        body = {"volume_uuid": volume_id, "instance_uuid": server_id}
        self._ask("POST", "/attachments", json={"attachment": body})

    def delete_attachment(self, attachment_id: str) -> None:
        """Take it back. Raises NotFound."""
        self._ask("DELETE", f"/attachments/{attachment_id}")

    def reasons(self, volume_id: str) -> list[str]:
        """What Cinder tells users of what went wrong with a volume, newest first."""
        found = self._ask("GET", "/messages", params={"resource_uuid": volume_id})
        return [str(each["user_message"]) for each in found["messages"]]

    def limits(self) -> dict[str, Any]:
        """What the project may have."""
        found: dict[str, Any] = self._ask("GET", "/limits")["limits"]
        return found

    def _pages(self, path: str, name: str, only: Mapping[str, str]) -> Iterator[dict[str, Any]]:
        after: dict[str, str] = {}
        while True:
            params = {"limit": str(_PAGE), "sort": "id:asc", **only, **after}
            page = self._ask("GET", path, params=params)[name]
            yield from page
            if len(page) < _PAGE:
                return
            after = {"marker": page[-1]["id"]}

    def _ask(self, method: str, path: str, **named: Any) -> Any:
        return self._cloud.ask(
            self._connection, "block_storage", method, path, microversion=VERSION, **named
        )
