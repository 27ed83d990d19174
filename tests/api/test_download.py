"""HEAD, ranges under a condition and unchanged bytes, the same at every door to them."""

import dataclasses
import hashlib

import pytest

from imagesvc import context
from tests import open_job
from tests.api.caller import Caller

DATA = bytes(range(256)) * 40
NATIVE = "/imagesvc/v1"
SAME = ("Content-Type", "Content-Length", "ETag", "Accept-Ranges", "Content-MD5")


@dataclasses.dataclass
class Door:
    """One way to the bytes of one image."""

    caller: Caller
    path: str

    def send(self, method="GET", **headers):
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.caller.request(method, self.path, headers=named)


@pytest.fixture(params=["glance", "disk", "signed"])
def door(request, app, service):
    """Each door, to an active image of its own."""
    owner = Caller(app)
    image_id = owner.active(DATA)
    if request.param == "glance":
        return Door(owner, f"/v2/images/{image_id}/file")
    if request.param == "disk":
        return Door(owner, f"{NATIVE}/images/{image_id}/disk/0/file")
    ctx = context.RequestContext("u", owner.project, frozenset({"member"}))
    url = service.image_files.image_source(
        ctx, service.images.get(ctx, image_id), job_id=open_job.begin(service, ctx)
    ).url
    return Door(Caller(app, token="none"), url[url.index(NATIVE) :])


def test_head_says_what_get_would_and_sends_nothing(door):
    whole, head = door.send(), door.send("HEAD")
    assert (whole.status_code, whole.content) == (200, DATA)
    assert (head.status_code, head.content) == (200, b"")
    for name in SAME:
        assert head.headers.get(name) == whole.headers.get(name), name
    assert head.headers["Content-Length"] == str(len(DATA))
    assert head.headers["ETag"] == f'"{hashlib.sha512(DATA).hexdigest()}"'


def test_head_knows_no_range(door):
    head = door.send("HEAD", Range="bytes=0-9")
    assert (head.status_code, head.headers["Content-Length"]) == (200, str(len(DATA)))


def test_a_range_holds_under_the_present_etag_only(door):
    etag = door.send("HEAD").headers["ETag"]
    part = door.send(Range="bytes=10-19", If_Range=etag)
    assert (part.status_code, part.content) == (206, DATA[10:20])
    for other in ('"another"', f"W/{etag}", "Wed, 21 Oct 2015 07:28:00 GMT"):
        whole = door.send(Range="bytes=10-19", If_Range=other)
        assert (whole.status_code, whole.content) == (200, DATA)
        assert "Content-Range" not in whole.headers
    assert door.send(Range=f"bytes={len(DATA)}-", If_Range=etag).status_code == 416
    assert door.send(Range=f"bytes={len(DATA)}-", If_Range='"another"').status_code == 200


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_who_has_the_bytes_gets_none(door, method):
    etag = door.send("HEAD").headers["ETag"]
    for known in (etag, f'"another", {etag}', f"W/{etag}", "*"):
        found = door.send(method, If_None_Match=known, Range="bytes=0-9")
        assert (found.status_code, found.content) == (304, b"")
        assert found.headers["ETag"] == etag
    assert door.send(method, If_None_Match='"another"').status_code == 200


def test_other_bytes_have_another_etag(app):
    owner = Caller(app)
    etags = [
        owner.request("HEAD", f"/v2/images/{owner.active(data)}/file").headers["ETag"]
        for data in (b"one", b"two", b"one")
    ]
    assert etags[0] == etags[2] != etags[1]


def test_head_is_refused_as_get_is(app):
    owner, stranger = Caller(app), Caller(app)
    queued, active = owner.create()["id"], owner.active(DATA)
    assert owner.request("HEAD", f"/v2/images/{queued}/file").status_code == 204
    disk = f"{NATIVE}/images/{active}/disk"
    assert stranger.request("HEAD", f"/v2/images/{active}/file").status_code == 404
    assert stranger.request("HEAD", f"{disk}/0/file").status_code == 404
    assert owner.request("HEAD", f"{disk}/1/file").status_code == 404
    assert stranger.request("HEAD", f"{NATIVE}/signed/{active}/0").status_code == 403
    assert owner.request("HEAD", f"/v2/images/{active}").status_code == 405
