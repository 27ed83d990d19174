"""Imports from URLs, against real servers; what the operator does not allow is not asked."""

import gzip

import pytest

from imagesvc.manager import quota_verify, store_verify
from imagesvc.worker import reaper
from tests.api.caller import Caller
from tests.api.glance.conftest import Several
from tests.web_server import answer, serving

DATA = bytes(range(256)) * 4100


class Site:
    """One server, and a service that may fetch from it."""

    def __init__(self, folder, url, answers, more=""):
        self._stack = serving(lambda _, connection: connection.sendall(answers[0]))
        self.web = self._stack.__enter__()
        more += (
            f"[fetch]\nallowed_ports = {self.web.port}\nallowed_networks = 127.0.0.1/32\n"
            "answer_timeout_s = 0.5\nidle_timeout_s = 1\n"
        )
        self.several = Several(folder, url, more)
        self.owner = Caller(self.several.app)

    def begin(self, uri=None, **values):
        """Create an image and import it; its id and the answer's status."""
        image_id = self.owner.create(**values)["id"]
        method = {"name": "web-download", "uri": uri or self.web.url()}
        found = self.owner.request("POST", f"/v2/images/{image_id}/import", {"method": method})
        return image_id, found.status_code

    def done(self, image_id):
        """Let the worker work; the image as it is then."""
        self.several.work()
        return self.owner.get(f"/v2/images/{image_id}").json

    def close(self):
        self.several.work()
        service = self.several.service
        reaper.run(service)
        found = store_verify.verify(service.database, service.backends, older_than_s=0)
        assert found.findings == []
        assert quota_verify.verify(service.database) == ()
        self.several.close()
        self._stack.__exit__(None, None, None)


@pytest.fixture
def answers():
    """What the server answers with; a test may change it."""
    return [answer(DATA)]


@pytest.fixture(params=["sqlite", "postgresql"])
def site(request, tmp_path, answers):
    url = f"sqlite:///{tmp_path}/imagesvc.sqlite"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgresql_url")
    made = Site(tmp_path, url, answers)
    yield made
    made.close()


def test_bytes_of_a_url_become_the_image(site):
    image_id, status = site.begin()
    assert status == 202
    image = site.done(image_id)
    assert (image["status"], image["size"]) == ("active", len(DATA))
    assert site.owner.get(f"/v2/images/{image_id}/file").content == DATA
    task = site.owner.get(f"/v2/images/{image_id}/tasks").json["tasks"][0]
    assert (task["status"], task["type"]) == ("success", "api_image_import")


@pytest.mark.parametrize(
    "uri",
    [
        "http://127.0.0.1/image", "http://127.0.0.2:{port}/", "file:///etc/passwd",
        "http://169.254.169.254:{port}/", "http://0x7f000001:{port}/", "http://[::1]:{port}/",
        "http://user@127.0.0.1:{port}/", "ftp://127.0.0.1:{port}/", "not a url", "",
    ],
)  # fmt: skip
def test_what_is_not_allowed_is_refused_and_never_asked(site, uri):
    image_id, status = site.begin(uri.format(port=site.web.port) or "http://")
    assert status == 400
    assert site.owner.get(f"/v2/images/{image_id}").json["status"] == "queued"
    assert site.web.requests == []


@pytest.mark.parametrize(
    "given",
    [
        answer(DATA[:-1], length=len(DATA)),
        answer(status="404 Not Found"),
        answer(b"", "Location: http://169.254.169.254/", status="302 Found"),
        answer(b"QFI\xfb" + bytes(1000)),
    ],
    ids=["short", "absent", "redirected inside", "hostile"],
)  # fmt: skip
def test_a_fetch_that_fails_leaves_the_image_queued_and_no_bytes(site, answers, given):
    answers[0] = given
    image_id, status = site.begin()
    assert status == 202
    image = site.done(image_id)
    assert (image["status"], image["size"]) == ("queued", None)
    task = site.owner.get(f"/v2/images/{image_id}/tasks").json["tasks"][0]
    assert task["status"] == "failure"
    assert task["message"]


def test_a_packed_disk_is_looked_into_on_its_way(site, answers):
    packed = gzip.compress(bytes(100_000), mtime=0)
    answers[0] = answer(packed)
    image_id, _ = site.begin(container_format="compressed")
    image = site.done(image_id)
    assert (image["status"], image["size"], image["virtual_size"]) == (
        "active", len(packed), 100_000,
    )  # fmt: skip
