"""Two API processes and a worker on one database, any of which may be killed."""

import contextlib
import http.client
import json
import os
import signal
import socket
import uuid
from pathlib import Path

from tests.crash.station import Station, free_port, until

OCTETS = "application/octet-stream"
PATCH = "application/openstack-images-v2.1-json-patch"


class Pair:
    """The processes. `owner` and `other` are fresh projects of each `begin`."""

    def __init__(self, folder, database=None):
        self.station = Station(folder, database)
        self.ports = (self.station.port, free_port())
        self.station.start("worker")
        self._apis = [self.station.start("api", port=port) for port in self.ports]
        for port in self.ports:
            self._await(port)

    def begin(self):
        """Make two projects; their ids and tokens by name."""
        identity, found = self.station.service.identity, {}
        for name in ("owner", "other"):
            project = f"{name}-{uuid.uuid4().hex}"
            found[name] = (identity.create_project(project), project)
            identity.grant("crash", project, "member")
        return {name: (key, self.station.token(project)) for name, (key, project) in found.items()}

    def call(self, api, token, method, path, body=None, kind="application/json"):
        """One request to API 0 or 1; status and body, decoded if it is JSON."""
        headers = {"X-Auth-Token": token, "Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = kind
            body = body if isinstance(body, bytes) else json.dumps(body).encode()
        status, sent, data = self.station.call(method, path, body, headers, port=self.ports[api])
        kinds = [value for name, value in sent.items() if name.lower() == "content-type"]
        is_json = "application/json" in "".join(kinds)
        return status, json.loads(data) if is_json and data else data

    @contextlib.contextmanager
    def unanswered(self, api, token, method, path, data, kind, part=1.0):
        """Send a request, only `part` of its body, and let the block kill who reads it."""
        with socket.create_connection(("127.0.0.1", self.ports[api]), timeout=30) as link:
            head = (
                f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nX-Auth-Token: {token}\r\n"
                f"Content-Type: {kind}\r\nContent-Length: {len(data)}\r\n\r\n"
            )
            link.sendall(head.encode() + data[: int(len(data) * part)])
            yield

    def restart(self, api):
        """End an API in peace and start it anew."""
        self._apis[api].terminate()
        self._start(api)

    def kill(self, api):
        """SIGKILL to an API's master and worker; then start it anew."""
        process = self._apis[api]
        workers = _children(process.pid)
        process.kill()
        for pid in workers:
            _kill(pid)
        self._start(api)

    def kill_worker(self, api):
        """SIGKILL to the process that serves; its master starts another."""
        for pid in _children(self._apis[api].pid):
            _kill(pid)
        self._await(self.ports[api])

    def _start(self, api):
        self._apis[api].wait(60)
        self._apis[api] = self.station.start("api", port=self.ports[api])
        self._await(self.ports[api])

    def stop(self):
        """End everything."""
        self.station.stop()

    def _await(self, port):
        until(lambda: self._answers(port))

    def _answers(self, port):
        try:
            return self.station.ready(port)
        except http.client.HTTPException:
            return False


def _children(pid):
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _kill(pid):
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
