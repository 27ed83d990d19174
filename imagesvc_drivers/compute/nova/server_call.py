"""Calls of Nova about servers: found, listed, booted, powered off, deleted."""

import itertools
import time
import uuid
from collections.abc import Iterator
from typing import Any

from imagesvc.interface import errors
from imagesvc_drivers.client import openstack

_PAUSE_S = 0.3
_PAGE = 200
_GONE = frozenset({"DELETED", "SOFT_DELETED"})


class Servers:
    """Servers as one project sees them; one of another is NotFound."""

    def __init__(self, cloud: openstack.Cloud, power_wait_s: float) -> None:
        self._cloud = cloud
        self._power_wait_s = power_wait_s

    def find(self, project_id: str, server_id: str) -> Any:
        """One as openstacksdk has it. Raises NotFound, also while Nova deletes it."""
        missing = errors.NotFound(f"No server {server_id} was found.")
        try:
            if str(uuid.UUID(server_id)) != server_id:
                raise missing
        except ValueError:
            raise missing from None
        try:
            with self._cloud.calling():
                server = self._cloud.project(project_id).compute.get_server(server_id)
        except errors.NotFound as exc:
            raise errors.NotFound(missing.user_message, exc.operator_message) from exc
        if server.project_id != project_id or _leaving(server):
            raise missing
        return server

    def page(self, project_id: str, after: str | None, limit: int) -> list[Any]:
        """Those after the id `after`, by id; none of a project that is not open to us."""
        order = {"sort_key": "uuid", "sort_dir": "asc", "limit": max(1, min(limit, _PAGE))}
        after_it = {"marker": after} if after else {}
        try:
            try:
                found = self._each(project_id, **order, **after_it)
                return list(itertools.islice(found, limit))
            except errors.InvalidArgument:
                if after is None:
                    raise
            # Nova goes on after servers that exist alone.
            every = self._each(project_id, **order)
            return [server for server in every if server.id > after][:limit]
        except errors.NotFound:
            return []

    def tagged(self, project_id: str, tag: str) -> list[Any]:
        """All that bear a tag, those that are being built too."""
        return list(self._each(project_id, tags=tag))

    def start(self, project_id: str, server_id: str) -> None:
        """Boot it, and wait. Raises NotFound, Busy, Timeout."""
        self._power(project_id, server_id, "ACTIVE", lambda compute: compute.start_server)

    def stop(self, project_id: str, server_id: str) -> None:
        """Power it off, and wait. Raises NotFound, Busy, Timeout."""
        self._power(project_id, server_id, "SHUTOFF", lambda compute: compute.stop_server)

    def delete(self, project_id: str, server_id: str) -> None:
        """Delete it; one that is gone is success."""
        try:
            server = self.find(project_id, server_id)
            with self._cloud.calling():
                self._cloud.project(project_id).compute.delete_server(server)
        except errors.NotFound:
            return

    def console(self, project_id: str, server_id: str) -> bytes:
        """The console's log, as much as Nova keeps; nothing while it has none."""
        server = self.find(project_id, server_id)
        try:
            with self._cloud.calling():
                compute = self._cloud.project(project_id).compute
                said = compute.get_server_console_output(server)
        except (errors.Busy, errors.NotFound):
            return b""
        return str((said or {}).get("output") or "").encode()

    def _each(self, project_id: str, **query: Any) -> Iterator[Any]:
        with self._cloud.calling():
            for server in self._cloud.project(project_id).compute.servers(**query):
                if server.project_id == project_id and not _leaving(server):
                    yield server

    def _power(self, project_id: str, server_id: str, wanted: str, action: Any) -> None:
        """Ask until Nova takes it, then look until it is so."""
        deadline = time.monotonic() + self._power_wait_s
        asked, refusal = False, None
        while True:
            server = self.find(project_id, server_id)
            if server.status == wanted and server.task_state is None:
                return
            if not asked and server.status != wanted:
                try:
                    with self._cloud.calling():
                        action(self._cloud.project(project_id).compute)(server)
                    asked = True
                except errors.Busy as exc:  # another task of Nova's, a snapshot for instance
                    refusal = exc
            if time.monotonic() > deadline:
                raise refusal or errors.Timeout(f"Server {server_id} is not {wanted} in time.")
            time.sleep(_PAUSE_S)


def _leaving(server: Any) -> bool:
    """Nothing brings back what Nova deletes."""
    return server.status in _GONE or server.task_state in ("deleting", "soft-deleting")
