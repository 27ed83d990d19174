"""What the service leans on goes away while it works: a clear answer at once, nothing is lost, and
it goes on by itself. Disks that are full stand in `test_disk_full.py`.
"""

import json
import os
import secrets
import threading

import psycopg
import pytest

from imagesvc.db import image_disk
from tests import s3_server, web_server
from tests.crash.ledger_compute import DISK
from tests.crash.paper_station import PaperStation
from tests.crash.station import Station, until
from tests.postgresql_server import PostgresqlServer

pytestmark = pytest.mark.slow

OCTETS = "application/octet-stream"
PATCH = "application/openstack-images-v2.1-json-patch"
NEW = json.dumps({"name": "x", "disk_format": "raw", "container_format": "bare"})
RENAME = json.dumps([{"op": "replace", "path": "/name", "value": "y"}])
FETCH = "[fetch]\nallowed_networks = 127.0.0.0/8\nallowed_ports = {port}\n"
FETCHED = bytes(100_000)


class Client:
    """Requests of the caller to a station; answers are status, headers in small letters, body."""

    def __init__(self, station):
        self._station = station
        self._token = station.token()

    def call(self, method, path, body=None, kind="application/json"):
        headers = self.headers(**{"Content-Type": kind})
        status, sent, data = self._station.call(method, path, body, headers)
        return status, {name.lower(): value for name, value in sent.items()}, data

    def headers(self, **more):
        """What a request of the caller has."""
        return {"X-Auth-Token": self._token, **more}

    def new(self):
        """A queued image."""
        status, _, body = self.call("POST", "/v2/images", NEW)
        assert status == 201, body
        return json.loads(body)["id"]

    def send(self, image_id, data):
        """Its bytes."""
        return self.call("PUT", f"/v2/images/{image_id}/file", data, OCTETS)

    def show(self, image_id):
        """The image."""
        return json.loads(self.call("GET", f"/v2/images/{image_id}")[2])

    def download(self, image_id):
        """Status, headers and bytes."""
        return self.call("GET", f"/v2/images/{image_id}/file")


def unavailable(answer):
    """The answer says that it is not the caller's fault, and when to come again."""
    status, headers, body = answer
    assert (status, bool(headers.get("retry-after"))) == (503, True), (status, headers, body)
    assert b"Traceback" not in body
    assert b"SELECT" not in body
    return True


class Body:
    """Bytes, of which the second half waits until it is let go."""

    def __init__(self, data):
        self._data = data
        self.begun, self.go_on = threading.Event(), threading.Event()

    def __iter__(self):
        half = len(self._data) // 2
        yield self._data[:half]
        self.begun.set()
        assert self.go_on.wait(120)
        yield self._data[half:]


class Later(threading.Thread):
    """Does it in a thread; `answer` waits for what comes of it."""

    def __init__(self, act):
        super().__init__(daemon=True)
        self._act, self._found = act, None
        self.start()

    def run(self):
        self._found = self._act()

    def answer(self):
        self.join(120)
        assert not self.is_alive()
        return self._found


# --------------------------------------------------------------------- the database


@pytest.fixture
def postgresql():
    """A server that may crash, and keeps what is committed."""
    server = PostgresqlServer("-c synchronous_commit=on")
    server.start()
    yield server
    server.stop()


def test_a_database_that_crashes_in_mid_request_is_503_and_then_all_goes_on(
    tmp_path, postgresql, monkeypatch
):
    monkeypatch.setenv("OS_SERVICE__THREADS", "8")
    monkeypatch.setenv("OS_WORKER__UPLOAD_STALE_S", "60")  # the upload stands still for a while
    station = Station(tmp_path, postgresql.create())
    try:
        station.start("api")
        station.start("worker")
        until(station.ready)
        client, data = Client(station), secrets.token_bytes(3 << 20)
        kept, slow = client.new(), client.new()
        assert client.send(kept, data)[0] == 204
        body = Body(data)
        headers = {"X-Auth-Token": station.token(), "Content-Type": OCTETS}
        headers["Content-Length"] = str(len(data))
        path = f"/v2/images/{slow}/file"
        upload = Later(lambda: station.call("PUT", path, body, headers))
        assert body.begun.wait(60)
        waiting = wait_for_a_lock(station, client, kept)
        postgresql.crash()
        unavailable(waiting.answer())
        waiting.holder.close()
        for _ in range(5):
            unavailable(client.call("GET", f"/v2/images/{kept}"))
            unavailable(client.call("POST", "/v2/images", NEW))
            unavailable(client.download(kept))
        assert station.ready()  # alive, though there is nothing that it can do
        assert station.call("GET", "/healthcheck/ready")[0] == 503
        postgresql.resume()
        until(lambda: station.call("GET", "/healthcheck/ready")[0] == 200)
        assert client.show(kept)["name"] == "x"  # the change was refused, so it did not happen
        assert client.download(kept)[2] == data
        body.go_on.set()
        assert upload.answer()[0] == 204
        assert client.download(slow)[2] == data
        assert client.send(client.new(), data)[0] == 204
        assert station.quota_is_true()
    finally:
        station.stop()


def wait_for_a_lock(station, client, image_id):
    """A change of the image that waits in the database for another one, which never ends."""
    url = station.service.database.engine.url.set(drivername="postgresql")
    conn = psycopg.connect(url.render_as_string(hide_password=False))
    conn.execute("SELECT id FROM image WHERE id = %s FOR UPDATE", [image_id])
    late = Later(lambda: client.call("PATCH", f"/v2/images/{image_id}", RENAME, PATCH))

    def waits():
        with station.service.database.read() as watch:
            count = "SELECT count(*) FROM pg_locks WHERE NOT granted"
            return watch.exec_driver_sql(count).scalar_one()

    until(waits)
    late.holder = conn
    return late


def test_a_database_that_crashes_in_mid_job_is_waited_for(tmp_path, postgresql):
    station = PaperStation(tmp_path, postgresql.create())
    try:
        station.hold.touch()
        jobs = [station.capture() for _ in range(3)]
        station.start()
        until(lambda: station.compute.events("snapshot opened"))
        postgresql.crash()
        postgresql.resume()
        station.hold.unlink()
        for job in station.ended(jobs):
            assert (job.state, job.error_text) == ("done", None)
            assert station.bytes_of(job.image_id) == DISK
        assert station.stop() == [0]
        station.check_clean()
    finally:
        station.close()


# ------------------------------------------------------------------------ the store


@pytest.fixture
def weed():
    """An S3 server that may stop, and where it is."""
    server, place = s3_server.start(s3_server.start_one)
    yield server, place
    server.restart()
    server.stop()


@pytest.mark.peer
def test_a_store_that_is_away_is_503_and_its_jobs_wait_with_a_cause(tmp_path, weed, monkeypatch):
    monkeypatch.setenv("OS_SERVICE__THREADS", "16")
    monkeypatch.setenv("OS_WORKER__RETRY_S", "600")
    server, place = weed
    with web_server.serving(
        lambda head, connection: connection.sendall(web_server.answer(FETCHED))
    ) as web:
        more = place.sections(connect_timeout_s=1, read_timeout_s=1, retry_s=0.2)
        station = Station(tmp_path, more=more + FETCH.format(port=web.port))
        try:
            station.start("api")
            station.start("worker")
            until(station.ready)
            go_without_store(station, server, web)
        finally:
            station.stop()


def go_without_store(station, server, web):
    """Work while the store is away, and after it has come back."""
    client, data = Client(station), secrets.token_bytes(100_000)
    kept, refused, fetched = client.new(), client.new(), client.new()
    assert client.send(kept, data)[0] == 204
    with server.frozen("server"):
        unavailable(client.send(refused, data))
        unavailable(client.download(kept))
        assert client.show(refused)["status"] == "queued"
    until(lambda: client.download(kept)[2] == data)
    server.kill("server")
    unavailable(client.send(refused, data))
    unavailable(client.download(kept))
    assert client.show(kept)["status"] == "active"
    assert client.show(refused)["status"] == "queued"
    order = json.dumps({"method": {"name": "web-download", "uri": web.url()}})
    assert client.call("POST", f"/v2/images/{fetched}/import", order)[0] == 202
    job = f"/imagesvc/v1/jobs/{client.show(fetched)['os_glance_import_task']}"

    def shown():
        return json.loads(client.call("GET", job)[2])["job"]

    until(lambda: shown()["cause"])
    assert shown()["state"] in ("ready", "running")
    (task,) = json.loads(client.call("GET", f"/v2/images/{fetched}/tasks")[2])["tasks"]
    assert task["message"] == shown()["cause"]
    assert client.call("DELETE", f"/v2/images/{refused}")[0] == 204
    server.restart()
    until(lambda: client.show(fetched)["status"] == "active")
    until(lambda: shown()["state"] == "done")
    assert shown()["cause"] is None
    assert client.download(fetched)[2] == FETCHED
    assert client.download(kept)[2] == data
    assert client.send(client.new(), data)[0] == 204
    until(lambda: len(station.objects()) == 3)
    assert station.quota_is_true()


@pytest.fixture
def local(station):
    """A client of an installation with a store of files, and one thread for downloads."""
    station.start("api")
    until(station.ready)
    return Client(station)


def test_a_folder_of_a_store_that_is_gone_is_503_until_it_is_back(station, local):
    # Each refusal gives its thread back before it is told, so the next request is not one of many.
    data, kept, refused = secrets.token_bytes(100_000), local.new(), local.new()
    assert local.send(kept, data)[0] == 204
    store = station.folder / "store"
    store.rename(station.folder / "elsewhere")
    unavailable(local.send(refused, data))
    unavailable(local.download(kept))
    assert local.show(refused)["status"] == "queued"
    (station.folder / "elsewhere").rename(store)
    assert local.download(kept)[2] == data

    def sent():
        """A download's thread comes free a moment after its last byte was read."""
        status, _, body = local.send(refused, data)
        assert status == 204 or b"as many" in body, (status, body)
        return status == 204

    until(sent)
    assert station.quota_is_true()


def test_bytes_that_are_cut_short_in_the_store_are_never_a_whole_download(station, local):
    data, image_id = secrets.token_bytes(3 << 20), local.new()
    assert local.send(image_id, data)[0] == 204
    with station.service.database.read() as conn:
        ((_, key),) = image_disk.places_of(conn, [image_id])[image_id]
    path = station.service.backends.storage().path(key)
    path.chmod(0o600)
    os.truncate(path, 1 << 20)
    status, _, body = local.download(image_id)
    assert (status, b"not whole" in body) == (500, True)
    part = local.headers(Range="bytes=9-99")
    assert station.call("GET", f"/v2/images/{image_id}/file", headers=part)[0] == 500
    assert local.show(image_id)["status"] == "active"
