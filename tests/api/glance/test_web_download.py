"""Imports from URLs, against real servers; what the operator does not allow is not asked."""

import gzip

import pytest

from tests.api.glance.conftest import DATA
from tests.web_server import answer


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
