"""Bytes of foreign URLs as callers get them: those that are known, or a broken transfer."""

import contextlib
import hashlib

import pytest

from imagesvc.context import RequestContext
from imagesvc.interface.errors import IntegrityError
from tests.api.caller import Caller
from tests.api.glance.conftest import DATA
from tests.api.glance.foreign_site import Far
from tests.web_server import answer

RIGHT = {
    "checksum": hashlib.md5(DATA).hexdigest(),
    "os_hash_algo": "sha256",
    "os_hash_value": hashlib.sha256(DATA).hexdigest(),
}
ZEROS = bytes(len(DATA))


@pytest.fixture(scope="module")
def far(tmp_path_factory):
    made = Far(tmp_path_factory.mktemp("far"))
    yield made
    made.close()


def get(far, image_id, caller=None, **headers):
    """GET the bytes."""
    return (caller or far.owner).get(f"/v2/images/{image_id}/file", headers=headers)


def test_the_bytes_come_from_the_url_and_nobody_warrants_their_name(far):
    found = get(far, far.linked())
    assert (found.status_code, found.content) == (200, DATA)
    assert found.headers["Content-Length"] == str(len(DATA))
    assert not {"etag", "content-md5"} & {name.lower() for name in found.headers}
    found = get(far, far.linked(validation=RIGHT))
    assert (found.content, found.headers["Content-MD5"]) == (DATA, RIGHT["checksum"])


def test_a_download_of_bytes_that_are_elsewhere_is_a_use_of_the_image(far):
    image_id = far.linked()
    assert get(far, image_id).status_code == 200
    far.several.service.last_uses.write()
    shown = far.owner.get(f"/imagesvc/v1/images/{image_id}").json["image"]
    assert shown["last_used_at"] is not None


@pytest.mark.parametrize("wrong", ["checksum", "os_hash_value"])
def test_bytes_of_another_digest_never_come_to_their_end(far, wrong):
    image_id = far.linked(validation={**RIGHT, wrong: "0" * len(RIGHT[wrong])})
    with pytest.raises(IntegrityError, match="not those"):
        get(far, image_id)
    far.pages["/turned"] = DATA
    image_id = far.linked("/turned", validation=RIGHT)
    far.pages["/turned"] = ZEROS
    with pytest.raises(IntegrityError):
        get(far, image_id)


def test_the_last_byte_is_kept_back_until_all_are_right(far):
    far.pages["/turned"] = DATA
    image_id = far.linked("/turned", validation=RIGHT)
    far.pages["/turned"] = ZEROS
    ctx = RequestContext("user", far.owner.project, frozenset({"member"}))
    stream = far.several.service.image_files.download(ctx, image_id).open()
    came = []
    with contextlib.closing(stream), pytest.raises(IntegrityError):
        came.extend(iter(lambda: stream.read(1000), b""))
    assert 0 < len(b"".join(came)) < len(DATA)


@pytest.mark.parametrize("size", [len(DATA) - 1, len(DATA) + 1])
@pytest.mark.parametrize("told", [True, False])
def test_bytes_of_another_number_are_not_given_out(far, size, told):
    far.pages["/grown"] = DATA
    image_id = far.linked("/grown")
    body = (DATA + b"x")[:size]
    far.pages["/grown"] = lambda head, link: link.sendall(
        answer(body, length=size if told else None)
    )
    if told:
        assert get(far, image_id).status_code == 503
    else:
        with pytest.raises(IntegrityError):
            get(far, image_id)


def test_the_next_url_is_asked_if_the_first_does_not_answer(far):
    far.pages |= {"/first": DATA, "/second": DATA}
    image_id = far.linked("/first")
    far.owner.patch(image_id, ("add", "/locations/-", far.value("/second")))
    del far.pages["/first"]
    assert get(far, image_id).content == DATA
    del far.pages["/second"]
    found = get(far, image_id)
    assert (found.status_code, found.headers["Retry-After"]) == (503, "30")
    assert str(far.web.port) not in found.text


@pytest.mark.parametrize("path", ["/image", "/parts/image"])
@pytest.mark.parametrize(
    ("asked", "part"),
    [("bytes=0-9", DATA[:10]), ("bytes=1000-2999", DATA[1000:3000]), ("bytes=-7", DATA[-7:]),
     ("bytes=1049000-", DATA[1049000:])],
)  # fmt: skip
def test_a_range_is_what_it_is_in_the_whole(far, path, asked, part):
    image_id = far.linked(path, validation={**RIGHT, "checksum": "0" * 32})
    found = get(far, image_id, Range=asked)
    assert (found.status_code, found.content) == (206, part)
    begin = DATA.rindex(part) if asked == "bytes=-7" else int(asked[6:].partition("-")[0])
    told = f"bytes {begin}-{begin + len(part) - 1}/{len(DATA)}"
    assert found.headers["Content-Range"] == told


def test_a_range_is_passed_on(far):
    image_id = far.linked("/parts/image")
    get(far, image_id, Range="bytes=5000-")
    assert b"Range: bytes=5000-\r\n" in far.web.requests[-1]
    assert b"If-Range" not in far.web.requests[-1]


def test_a_head_asks_nobody(far):
    image_id = far.linked()
    asked = len(far.web.requests)
    found = far.owner.request("HEAD", f"/v2/images/{image_id}/file")
    assert (found.status_code, found.headers["Content-Length"]) == (200, str(len(DATA)))
    assert len(far.web.requests) == asked


def test_only_who_may_read_an_image_gets_its_bytes(far):
    image_id = far.linked(visibility="private")
    assert get(far, image_id, Caller(far.several.app)).status_code == 404
    reader = Caller(far.several.app, far.owner.project, "reader")
    assert get(far, image_id, reader).status_code == 403
    far.admin.request("POST", f"/v2/images/{image_id}/actions/deactivate")
    assert get(far, image_id).status_code == 403
    assert get(far, image_id, far.admin).content == DATA


def test_our_own_api_gives_them_as_its_first_disk(far):
    image_id = far.linked()
    root = f"/imagesvc/v1/images/{image_id}/disk"
    assert far.owner.get(f"{root}/0/file").content == DATA
    assert far.owner.get(f"{root}/1/file").status_code == 404
