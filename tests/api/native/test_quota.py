"""Quotas through the WSGI app: limits, what exceeding them looks like in both dialects."""

import pytest

from tests.api.caller import OCTETS, Caller
from tests.api.glance.test_image_file import CHUNKED

ROOT = "/imagesvc/v1/quota"
NONE = {"used": 0, "reserved": 0, "limit": -1, "default": True}


@pytest.fixture
def owner(app):
    """A member of a project of its own."""
    return Caller(app)


@pytest.fixture
def admin(app):
    """An administrator."""
    return Caller(app, None, "admin")


@pytest.fixture
def limit(admin, owner):
    """Sets limits of the owner's project; the answer."""

    def go(**limits):
        found = admin.request("PUT", f"{ROOT}/{owner.project}", limits)
        assert found.status_code == 200, found.text
        return found.json["quota"]

    return go


def test_a_project_reads_its_own_quota_and_no_other(app, owner, admin):
    path = f"{ROOT}/{owner.project}"
    expected = {
        "quota": {
            "project_id": owner.project,
            "images": NONE,
            "stored_bytes": NONE,
            "uploads": NONE,
        }
    }
    for caller in (owner, admin, Caller(app, owner.project, "reader")):
        assert caller.get(path).json == expected
    assert Caller(app).get(path).status_code == 404
    assert Caller(app, owner.project, "guest").get(path).status_code == 403


def test_only_administrators_set_limits(app, owner, limit):
    path = f"{ROOT}/{owner.project}"
    assert owner.request("PUT", path, {"images": 1}).status_code == 403
    assert Caller(app).request("PUT", path, {"images": 1}).status_code == 404
    assert limit(images=3, uploads=0)["images"] == {**NONE, "limit": 3, "default": False}
    found = limit(images=None)
    assert found["images"] == NONE
    assert found["uploads"] == {**NONE, "limit": 0, "default": False}


@pytest.mark.parametrize(
    "body", [{"images": -2}, {"images": "1"}, {"images": 1.5}, {"image": 1}, {"images": 2**63}, []]
)
def test_wrong_limits_are_refused(admin, owner, body):
    assert admin.request("PUT", f"{ROOT}/{owner.project}", body).status_code == 400


def test_one_image_too_many_is_413(owner, limit):
    limit(images=1)
    owner.create()
    found = owner.request("POST", "/v2/images", {"name": "second"})
    assert found.status_code == 413
    assert "Quota for images exceeded: 1 of 1 images used, 1 more asked." in found.text


@pytest.mark.parametrize("extras", [{}, CHUNKED])
def test_bytes_above_the_limit_are_413_and_the_image_stays_queued(owner, limit, extras):
    limit(stored_bytes=1000)
    image_id = owner.create()["id"]
    path = f"/v2/images/{image_id}"
    found = owner.request("PUT", f"{path}/file", b"x" * 1001, kind=OCTETS, extras=extras)
    assert found.status_code == 413
    assert "0 of 1000 bytes used, 1001 more asked." in found.text
    image = owner.get(path).json
    assert (image["status"], image["size"]) == ("queued", None)
    found = owner.request("PUT", f"{path}/file", b"x" * 1000, kind=OCTETS, extras=extras)
    assert found.status_code == 204
    used = owner.get(f"{ROOT}/{owner.project}").json["quota"]
    assert used["stored_bytes"] == {"used": 1000, "reserved": 0, "limit": 1000, "default": False}
    assert (used["images"]["used"], used["uploads"]["reserved"]) == (1, 0)


def test_a_size_announced_in_the_header_of_a_chunked_body_is_refused_at_once(owner, limit):
    limit(stored_bytes=1000)
    image_id = owner.create()["id"]
    headers = {"X-OpenStack-Image-Size": "1001"}
    path = f"/v2/images/{image_id}/file"
    found = owner.request("PUT", path, b"", kind=OCTETS, headers=headers, extras=CHUNKED)
    assert found.status_code == 413


def test_without_uploads_at_once_there_is_none(owner, limit):
    limit(uploads=0)
    found = owner.upload(owner.create()["id"])
    assert found.status_code == 413
    assert "Quota for uploads exceeded: 0 of 0 uploads used, 1 more asked." in found.text
