"""API and worker processes killed at random under load: what was acknowledged stays."""

import contextlib
import hashlib
import http.client
import json
import os
import random
import secrets
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest

from imagesvc.interface.identity import LoginScope
from imagesvc.manager import quota_verify
from tests.crash.station import BIN, free_port, until

pytestmark = pytest.mark.slow

APIS = 2
WORKERS = 2
CLIENTS = 4
KILLS = 30
PAUSE_S = (0.1, 0.5)
CAPTURES = 10
PATCH = "application/openstack-images-v2.1-json-patch"


class Api:
    """One API on a port of its own, which dies whole or loses its serving process."""

    def __init__(self, station):
        self._station = station
        self.port = free_port()
        self.start()

    def start(self):
        environment = {
            **os.environ,
            "IMAGESVC_CONF": str(self._station.path),
            "OS_SERVICE__BIND_PORT": str(self.port),
            "OS_SERVICE__WORKERS": "1",
        }
        with (self._station.folder / f"api-{self.port}.log").open("ab") as log:
            self._process = subprocess.Popen(
                [BIN / "imagesvc-api"], env=environment, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip

    def kill(self, chance):
        """Kill the serving process alone, whose master starts another, or all."""
        master = self._process.pid
        serving = Path(f"/proc/{master}/task/{master}/children").read_text().split()
        if serving and chance.random() < 0.5:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(serving[0]), signal.SIGKILL)
            return
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self.start()

    def stop(self):
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def ready(self):
        try:
            return self.call("GET", "/healthcheck")[0] == 200
        except OSError:
            return False

    def call(self, method, path, body=None, headers=None):
        """Status and body. Raises OSError where there is no answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body=body, headers=headers or {})
            answer = connection.getresponse()
            return answer.status, answer.read()
        except http.client.HTTPException as exc:
            raise OSError(str(exc)) from exc
        finally:
            connection.close()


class Client(threading.Thread):
    """Creates, fills, changes and deletes images; remembers what it was told had happened."""

    def __init__(self, apis, token, seed):
        super().__init__(daemon=True)
        self._apis = apis
        self._chance = random.Random(seed)
        self._headers = {"X-Auth-Token": token, "Accept": "application/json"}
        self.ended = threading.Event()
        self.filled = {}
        self.named = {}
        self.touched = set()
        self.strange = []

    def run(self):
        while not self.ended.is_set():
            try:
                self._one()
            except OSError:
                time.sleep(0.02)  # whoever should answer was killed

    def _call(self, method, path, body=None, kind="application/json", answers=()):
        headers = {**self._headers, "Content-Type": kind}
        status, data = self._chance.choice(self._apis).call(method, path, body, headers)
        if status not in answers:
            if status not in (409, 503):
                self.strange.append((method, path, status, data[:200]))
            raise OSError(status)
        return data

    def _one(self):
        new = json.dumps({"name": "x", "disk_format": "raw", "container_format": "bare"})
        image_id = json.loads(self._call("POST", "/v2/images", new, answers=(201,)))["id"]
        path = f"/v2/images/{image_id}"
        data = secrets.token_bytes(self._chance.randrange(1, 300_000))
        self._call("PUT", f"{path}/file", data, "application/octet-stream", answers=(204,))
        self.filled[image_id] = hashlib.sha256(data).hexdigest()
        name = secrets.token_hex(4)
        change = json.dumps([{"op": "replace", "path": "/name", "value": name}])
        self._call("PATCH", path, change, PATCH, answers=(200,))
        self.named[image_id] = name
        if self._chance.random() < 0.3:
            self.touched.add(image_id)
            # A retry finds it gone, if the first answer was lost on its way.
            self._call("DELETE", path, answers=(204,))


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "url", ["sqlite", pytest.param("postgresql", marks=pytest.mark.soak)], indirect=True
)
def test_what_was_acknowledged_survives_thirty_kills_of_everything(paper):
    station = paper()
    identity = station.service.identity
    project = identity.create_project("load")
    identity.create_user("load", "load-password")
    identity.grant("load", "load", "member")
    scope = LoginScope(project_id=project)
    token = identity.login("load", "load-password", scope).token
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    captures = [station.capture() for _ in range(CAPTURES)]
    for _ in range(WORKERS):
        station.start()
    apis = [Api(station) for _ in range(APIS)]
    try:
        for api in apis:
            until(api.ready)
        clients = [Client(apis, token, chance.random()) for _ in range(CLIENTS)]
        for client in clients:
            client.start()
        for _ in range(KILLS):
            time.sleep(chance.uniform(*PAUSE_S))  # the storm's own rhythm
            if chance.random() < 0.6:
                victim = station.workers.pop(0)
                victim.kill()
                victim.join()
                station.start()
            else:
                until(lambda: any(api.ready() for api in apis))
                chance.choice(apis).kill(chance)
        for client in clients:
            client.ended.set()
            client.join(60)
        check_images(apis, token, clients)
    finally:
        for api in apis:
            api.stop()
    assert {job.state for job in station.ended(captures)} == {"done"}
    station.check_clean()
    assert quota_verify.verify(station.service.database) == ()


def check_images(apis, token, clients):
    """Every image that was acknowledged is there, whole, and under its last name."""
    until(apis[0].ready)
    headers = {"X-Auth-Token": token, "Accept": "application/json"}
    filled = 0
    for client in clients:
        assert client.strange == []
        for image_id, digest in client.filled.items():
            if image_id in client.touched:
                continue
            status, body = apis[0].call("GET", f"/v2/images/{image_id}", headers=headers)
            assert (status, json.loads(body)["status"]) == (200, "active")
            assert json.loads(body)["name"] == client.named.get(image_id, json.loads(body)["name"])
            data = apis[0].call("GET", f"/v2/images/{image_id}/file", headers=headers)[1]
            assert hashlib.sha256(data).hexdigest() == digest
            filled += 1
    assert filled >= CLIENTS
