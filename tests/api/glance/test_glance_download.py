"""Images taken over from another region: a second service of ours, tokens of a real Keystone."""

import json
import threading
import uuid
from wsgiref import simple_server

import pytest
import sqlalchemy as sa

from imagesvc import errors
from imagesvc.api import app as door
from imagesvc.db import job_table
from imagesvc.manager import quota_verify, store_verify
from imagesvc.worker import reaper
from tests.api.caller import Caller
from tests.api.glance.conftest import Several
from tests.web_server import answer, serving

pytestmark = [pytest.mark.slow, pytest.mark.peer, pytest.mark.xdist_group("keystone")]

DATA = bytes(range(256)) * 5000
METHODS = """
[import]
methods = web-download, glance-download
remote_regions = {regions}
[fetch]
answer_timeout_s = 0.5
idle_timeout_s = 2
"""


class Quiet(simple_server.WSGIRequestHandler):
    """Says nothing of its requests."""

    def log_message(self, *_):
        """Nothing."""


def several(folder, server, url, more=""):
    """A service with Keystone as its identity."""
    folder.mkdir(exist_ok=True)
    made = Several(folder, url, server.sections() + more)
    made.service = made.built
    made.app = door.create_app(made.built)
    return made


class Regions:
    """The service under test, a second one in another region, and a hostile one in a third."""

    def __init__(self, folder, server, url, answers):
        self.keystone = server
        name = uuid.uuid4().hex
        self.far, self.bad = f"far-{name}", f"bad-{name}"
        there = folder / "there"
        self.there = several(there, server, f"sqlite:///{there}/imagesvc.sqlite")
        there_http = simple_server.make_server("127.0.0.1", 0, self.there.app, handler_class=Quiet)
        self._http = there_http
        threading.Thread(target=there_http.serve_forever, daemon=True).start()
        self._web = serving(lambda head, connection: connection.sendall(answers(head)))
        self.web = self._web.__enter__()
        more = METHODS.format(regions=f"{self.far}, {self.bad}, nowhere-{name}")
        self.here = several(folder / "here", server, url, more)
        server.place("image", f"http://127.0.0.1:{there_http.server_port}/v2", self.far)
        server.place("image", self.web.url(""), self.bad, ("internal",))
        project = server.project()
        token = server.token(server.user(project, "member"), project)
        self.owner, self.over_there = (
            Caller(one.app, project, token=token) for one in (self.here, self.there)
        )

    def begin(self, remote_id, region=None, owner=None, **method):
        """Import a fresh image from a region; its id and the answer."""
        owner = owner or self.owner
        image_id = owner.create()["id"]
        method = {
            "name": "glance-download", "glance_region": region or self.far,
            "glance_image_id": remote_id, **method,
        }  # fmt: skip
        body = {"method": method}
        return image_id, owner.request("POST", f"/v2/images/{image_id}/import", body)

    def done(self, image_id):
        """Let the worker work; the image and its last task."""
        self.here.work()
        path = f"/v2/images/{image_id}"
        return self.owner.get(path).json, self.owner.get(f"{path}/tasks").json["tasks"][0]

    def args(self, image_id):
        """What the row of the image's job keeps."""
        table = job_table.TABLE
        with self.here.service.database.read() as conn:
            return conn.scalar(sa.select(table.c.args).where(table.c.image_id == image_id))

    def judge(self):
        """Nothing is left over, and the counters are true."""
        service = self.here.service
        self.here.work()
        reaper.run(service)
        found = store_verify.verify(service.database, service.backends, older_than_s=0)
        assert found.findings == []
        assert quota_verify.verify(service.database) == ()

    def close(self):
        self._http.shutdown()
        self._http.server_close()
        self._web.__exit__(None, None, None)
        self.here.close()
        self.there.close()


@pytest.fixture(scope="module")
def answers():
    """What the hostile service says of an image, and its bytes; a test may change them."""
    return [{}, DATA]


@pytest.fixture(scope="module")
def running(tmp_path_factory, keystone_server, answers):
    folder = tmp_path_factory.mktemp("regions")

    def say(head):
        document, data = answers
        if b"/file" in head.split(b"\r\n")[0]:
            return data if data.startswith(b"HTTP/") else answer(data)
        if isinstance(document, bytes):
            return document
        return answer(json.dumps(document).encode())

    made = Regions(folder, keystone_server, f"sqlite:///{folder}/here.sqlite", say)
    yield made
    made.close()


@pytest.fixture
def regions(running):
    """The regions, in order before and after each test."""
    running.web.requests.clear()
    yield running
    running.judge()


def test_an_image_of_another_region_is_taken_over(regions):
    remote = regions.over_there.active(
        DATA, hw_disk_bus="scsi", os_distro="debian", os_type="linux", mine="stays there"
    )
    image_id, found = regions.begin(remote)
    assert (found.status_code, found.content) == (202, b"")
    token = regions.owner.token
    assert token not in json.dumps(regions.args(image_id))
    assert regions.args(image_id)["sealed_token"]
    image, task = regions.done(image_id)
    assert (image["status"], image["size"]) == ("active", len(DATA))
    assert (image["hw_disk_bus"], image["os_distro"], image["os_type"]) == (
        "scsi", "debian", "linux",
    )  # fmt: skip
    assert "mine" not in image
    assert regions.owner.get(f"/v2/images/{image_id}/file").content == DATA
    assert (task["status"], task["input"]["import_req"]["method"]) == (
        "success",
        {
            "name": "glance-download", "glance_region": regions.far, "glance_image_id": remote,
            "glance_service_interface": "public",
        },
    )  # fmt: skip
    assert "sealed_token" not in regions.args(image_id)
    assert token not in str(task)


@pytest.mark.parametrize("container", ["ami", "ovf"])
def test_formats_are_those_of_the_other_region(regions, container):
    remote = regions.over_there.active(DATA, disk_format="raw", container_format="bare")
    image_id = regions.owner.create(disk_format="iso", container_format=container)["id"]
    method = {
        "name": "glance-download", "glance_region": regions.far, "glance_image_id": remote,
        "glance_service_interface": "internal",
    }  # fmt: skip
    found = regions.owner.request("POST", f"/v2/images/{image_id}/import", {"method": method})
    assert found.status_code == 202
    image, _ = regions.done(image_id)
    assert (image["status"], image["disk_format"], image["container_format"]) == (
        "active", "raw", "bare",
    )  # fmt: skip


def test_an_image_that_the_caller_may_not_read_there_is_not_had(regions):
    server, project = regions.keystone, regions.keystone.project()
    stranger = Caller(
        regions.there.app, project, token=server.token(server.user(project, "member"), project)
    )
    for remote in (stranger.active(DATA), str(uuid.uuid4()), regions.over_there.create()["id"]):
        image_id, found = regions.begin(remote)
        assert found.status_code == 202
        image, task = regions.done(image_id)
        assert (image["status"], image["size"], task["status"]) == ("queued", None, "failure")
        assert "sealed_token" not in regions.args(image_id)


@pytest.mark.parametrize(
    "method",
    [
        {"glance_region": None}, {"glance_image_id": None},
        {"glance_image_id": "x"}, {"glance_image_id": "../../v3"}, {"glance_region": ""},
        {"glance_image_id": "{9a516e80-85f5-41ee-bee7-8af568ef13e2}"}, {"glance_region": 1},
        {"glance_service_interface": ""},
    ],
    ids=str,
)  # fmt: skip
def test_what_is_wrong_is_refused_at_once(regions, method):
    image_id, found = regions.begin(str(uuid.uuid4()), **method)
    assert found.status_code == 400, found.text
    assert regions.owner.get(f"/v2/images/{image_id}").json["status"] == "queued"


@pytest.mark.parametrize(
    ("method", "word"),
    [
        ({"glance_region": "not a region"}, "not a region"),
        ({"glance_service_interface": "not an interface"}, "public"),
    ],
    ids=str,
)
def test_where_no_image_service_can_be_is_told_by_the_task(regions, method, word):
    image_id, found = regions.begin(str(uuid.uuid4()), **method)
    assert found.status_code == 202, found.text
    image, task = regions.done(image_id)
    assert (image["status"], image["size"], task["status"]) == ("queued", None, "failure")
    assert word in task["message"]
    assert "sealed_token" not in regions.args(image_id)


def test_a_region_without_an_image_service_is_a_failure_with_words(regions):
    (nowhere,) = (name for name in regions.here.service.conf["import"].remote_regions
                  if name.startswith("nowhere"))  # fmt: skip
    for region, interface in ((nowhere, "public"), (regions.bad, "public")):
        image_id, found = regions.begin(
            str(uuid.uuid4()), region, glance_service_interface=interface
        )
        assert found.status_code == 202
        image, task = regions.done(image_id)
        assert (image["status"], task["status"]) == ("queued", "failure")
        assert region in task["message"]


SOUND = {
    "status": "active", "size": len(DATA), "disk_format": "raw", "container_format": "bare",
    "os_hash_algo": "md5", "os_hash_value": "", "checksum": "0" * 32,
}  # fmt: skip
REDIRECT = answer(b"", "Location: http://127.0.0.1:{port}/other", status="302 Found")


@pytest.mark.parametrize(
    ("document", "data"),
    [
        (SOUND, DATA), ({**SOUND, "status": "queued"}, DATA), ({**SOUND, "size": None}, DATA),
        ({**SOUND, "size": "1"}, DATA), ({**SOUND, "checksum": None}, DATA), ([], DATA),
        ({**SOUND, "disk_format": None}, DATA), ({**SOUND, "disk_format": "exe"}, DATA),
        ({**SOUND, "container_format": "docker"}, DATA), (answer(b"[" * 200_000), DATA),
        (answer(b"not json"), DATA), (answer(b" " * 2_000_000), DATA), (REDIRECT, DATA),
        (answer(status="404 Not Found"), DATA), (SOUND, REDIRECT),
        ({**SOUND, **{f"hw_{n}": "x" for n in range(200)}}, DATA),
    ],
    ids=lambda value: str(value)[:40],
)  # fmt: skip
def test_what_a_hostile_region_says_is_not_believed(regions, answers, document, data):
    port = str(regions.web.port).encode()
    answers[:] = [
        one.replace(b"{port}", port) if isinstance(one, bytes) else one for one in (document, data)
    ]
    image_id, found = regions.begin(
        str(uuid.uuid4()), regions.bad, glance_service_interface="internal"
    )
    assert found.status_code == 202
    image, task = regions.done(image_id)
    assert (image["status"], image["size"], task["status"]) == ("queued", None, "failure")
    assert task["message"]
    assert not any(b"/other" in head for head in regions.web.requests)


def test_a_deleted_image_takes_the_token_with_it(regions):
    image_id, found = regions.begin(str(uuid.uuid4()))
    assert found.status_code == 202
    assert "sealed_token" in regions.args(image_id)
    assert regions.owner.request("DELETE", f"/v2/images/{image_id}").status_code == 204
    assert "sealed_token" not in regions.args(image_id)


def test_the_method_is_advertised(regions):
    shown = regions.owner.get("/v2/info/import").json["import-methods"]["value"]
    assert shown == ["web-download", "glance-download"]


def test_the_embedded_identity_has_no_catalogue_to_find_regions_in(tmp_path, app):
    owner = Caller(app)
    assert "glance-download" not in str(owner.get("/v2/info/import").json)
    image_id = owner.create()["id"]
    method = {
        "name": "glance-download", "glance_region": "far", "glance_image_id": str(uuid.uuid4())
    }  # fmt: skip
    found = owner.request("POST", f"/v2/images/{image_id}/import", {"method": method})
    assert (found.status_code, "glance-download is no import method here" in found.text) == (
        400, True,
    )  # fmt: skip
    more = "[import]\nmethods = glance-download\nremote_regions = far\n"
    with pytest.raises(errors.ConfigurationError, match="catalogue"):
        Several(tmp_path, f"sqlite:///{tmp_path}/imagesvc.sqlite", more)
