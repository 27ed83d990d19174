"""The bytes of an image, up and down."""

import gzip
import hashlib
from wsgiref import util

import pytest

from tests.api.caller import OCTETS, Caller

CHUNKED = {"wsgi.input_terminated": True, "CONTENT_LENGTH": "", "HTTP_TRANSFER_ENCODING": "chunked"}


@pytest.fixture
def owner(app):
    return Caller(app)


@pytest.fixture
def data():
    return bytes(range(256)) * 5000


@pytest.mark.parametrize("chunked", [False, True])
def test_bytes_go_in_and_come_out(owner, data, chunked):
    image_id = owner.create()["id"]
    path = f"/v2/images/{image_id}"
    extras = CHUNKED if chunked else {}
    found = owner.request("PUT", f"{path}/file", data, kind=OCTETS, extras=extras)
    assert (found.status_code, found.content) == (204, b"")
    image = owner.get(path).json
    assert (image["status"], image["size"]) == ("active", len(data))
    assert image["checksum"] == hashlib.md5(data).hexdigest()
    assert image["os_hash_algo"] == "sha512"
    assert image["os_hash_value"] == hashlib.sha512(data).hexdigest()
    found = owner.get(f"{path}/file")
    assert (found.status_code, found.content) == (200, data)
    assert found.headers["Content-Type"] == OCTETS
    assert found.headers["Content-Length"] == str(len(data))
    assert found.headers["Content-MD5"] == image["checksum"]


@pytest.mark.parametrize("chunked", [False, True])
def test_an_empty_body_makes_an_active_empty_image(owner, chunked):
    image_id = owner.create()["id"]
    extras = CHUNKED if chunked else {}
    path = f"/v2/images/{image_id}"
    found = owner.request("PUT", f"{path}/file", b"", kind=OCTETS, extras=extras)
    assert found.status_code == 204
    image = owner.get(path).json
    assert (image["status"], image["size"]) == ("active", 0)
    found = owner.get(f"{path}/file")
    assert (found.status_code, found.content) == (200, b"")


def test_an_image_without_bytes_downloads_as_204(owner):
    found = owner.get(f"/v2/images/{owner.create()['id']}/file")
    assert (found.status_code, found.content) == (204, b"")
    found = owner.get(f"/v2/images/{owner.create()['id']}/file", headers={"Range": "bytes=0-1"})
    assert found.status_code == 204


@pytest.mark.parametrize(
    ("header", "status", "part"),
    [
        ("bytes=0-0", 206, slice(0, 1)),
        ("bytes=1000-1999", 206, slice(1000, 2000)),
        ("bytes=1279990-", 206, slice(1279990, None)),
        ("bytes=-10", 206, slice(-10, None)),
        ("bytes=-9999999", 206, slice(None)),
        ("bytes=0-9999999", 206, slice(None)),
        ("bytes=1280000-", 416, None),
        ("bytes=9-1", 416, None),
        ("bytes=x", 416, None),
        ("lines=1-2", 416, None),
        ("bytes=0-1,5-6", 400, None),
    ],
)
@pytest.mark.parametrize("server", ["with-wrapper", "without"])
def test_ranges(owner, data, header, status, part, server):
    image_id = owner.active(data)
    extras = {} if server == "without" else {"wsgi.file_wrapper": util.FileWrapper}
    found = owner.get(f"/v2/images/{image_id}/file", headers={"Range": header}, extras=extras)
    assert found.status_code == status
    if part is not None:
        start, stop, _ = part.indices(len(data))
        content = found.content[: int(found.headers["Content-Length"])]
        assert content == data[part]
        assert found.headers["Content-Range"] == f"bytes {start}-{stop - 1}/{len(data)}"
        assert found.headers["Content-MD5"] == hashlib.md5(data).hexdigest()
    if status == 416:
        assert found.headers["Content-Range"] == f"bytes */{len(data)}"


def test_old_clients_ask_by_content_range(owner, data):
    image_id = owner.active(data)
    headers = {"Content-Range": f"bytes 5-9/{len(data)}"}
    found = owner.get(f"/v2/images/{image_id}/file", headers=headers)
    assert (found.status_code, found.content) == (206, data[5:10])


@pytest.mark.parametrize("kind", [None, "application/json", "text/plain", "application/octet"])
def test_bytes_of_another_media_type_are_415(owner, kind):
    image_id = owner.create()["id"]
    found = owner.request("PUT", f"/v2/images/{image_id}/file", b"x", kind=kind)
    assert found.status_code == 415
    assert owner.get(f"/v2/images/{image_id}").json["status"] == "queued"


def test_formats_are_needed_first(owner):
    image_id = owner.request("POST", "/v2/images", {"disk_format": "raw"}).json["id"]
    assert owner.upload(image_id).status_code == 400
    assert owner.get(f"/v2/images/{image_id}").json["status"] == "queued"


def test_bytes_are_taken_once(owner):
    image_id = owner.active(b"first")
    assert owner.upload(image_id, b"second").status_code == 409
    assert owner.get(f"/v2/images/{image_id}/file").content == b"first"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"X-OpenStack-Image-Size": "4"}, 204),
        ({"X-OpenStack-Image-Size": "5"}, 400),
        ({"X-OpenStack-Image-Size": "x"}, 400),
        ({"X-OpenStack-Image-Size": "-1"}, 400),
        ({"X-Image-Meta-Store": "nowhere"}, 400),
        ({"X-OpenStack-Base-Image-Ref": "x"}, 204),
    ],
)
@pytest.mark.parametrize("chunked", [False, True])
def test_upload_headers(owner, headers, status, chunked):
    image_id = owner.create()["id"]
    extras = CHUNKED if chunked else {}
    path = f"/v2/images/{image_id}"
    found = owner.request(
        "PUT", f"{path}/file", b"data", kind=OCTETS, headers=headers, extras=extras
    )
    assert found.status_code == status
    assert owner.get(path).json["status"] == ("active" if status == 204 else "queued")


def test_a_body_that_breaks_off_leaves_the_image_queued(owner):
    image_id = owner.create()["id"]
    extras = {"CONTENT_LENGTH": "100"}
    found = owner.request(
        "PUT", f"/v2/images/{image_id}/file", b"short", kind=OCTETS, extras=extras
    )
    assert found.status_code == 400
    assert owner.get(f"/v2/images/{image_id}").json["status"] == "queued"
    assert owner.upload(image_id, b"whole").status_code == 204


def test_a_qcow2_declared_raw_is_refused(owner):
    image_id = owner.create()["id"]
    assert owner.upload(image_id, b"QFI\xfb\0\0\0\3" + bytes(1024)).status_code == 415
    assert owner.get(f"/v2/images/{image_id}").json["status"] == "queued"


def test_stores_that_are_preferred_must_exist(owner):
    path = f"/v2/images/{owner.active()}/file"
    assert owner.get(path, query_string="prefer=nowhere").status_code == 400


@pytest.mark.parametrize("container", ["ovf", "docker"])
def test_a_container_that_cannot_be_judged_is_refused(owner, container):
    image_id = owner.create(container_format=container)["id"]
    for data in (b"", b"\x1f\x8b\x08" + bytes(1000)):
        found = owner.upload(image_id, data)
        assert found.status_code == 415
        assert container in found.text
    assert owner.get(f"/v2/images/{image_id}").json["status"] == "queued"
    assert owner.patch(image_id, ("replace", "/container_format", "bare")).status_code == 200
    assert owner.upload(image_id).status_code == 204


def test_a_packed_disk_is_looked_into_and_stored_as_it_came(owner):
    packed = gzip.compress(bytes(100_000))
    image_id = owner.create(container_format="compressed")["id"]
    assert owner.upload(image_id, packed).status_code == 204
    shown = owner.get(f"/v2/images/{image_id}").json
    assert (shown["size"], shown["virtual_size"]) == (len(packed), 100_000)
    assert owner.get(f"/v2/images/{image_id}/file").content == packed


@pytest.mark.parametrize(
    "data",
    [b"", bytes(1000), gzip.compress(bytes(1000))[:-3], gzip.compress(b"QFI\xfb" + bytes(1000))],
    ids=["empty", "not packed", "cut", "qcow2"],
)
def test_what_is_packed_badly_or_hides_another_format_leaves_nothing_to_read(owner, data):
    image_id = owner.create(container_format="compressed")["id"]
    assert owner.upload(image_id, data).status_code == 415
    assert owner.get(f"/v2/images/{image_id}").json["status"] == "queued"
    assert owner.get(f"/v2/images/{image_id}/file").status_code == 204
    assert owner.patch(image_id, ("replace", "/container_format", "bare")).status_code == 200


def test_a_container_boots_no_server(owner):
    image_id = owner.create(container_format="compressed")["id"]
    assert owner.upload(image_id, gzip.compress(bytes(512))).status_code == 204
    body = {"image_id": image_id, "name": "no"}
    found = owner.request("POST", "/imagesvc/v1/servers", body)
    assert found.status_code == 400
    assert "container" in found.text


def test_the_formats_that_may_be_declared_are_in_the_schema(owner):
    shown = owner.get("/v2/schemas/image").json["properties"]["disk_format"]["enum"]
    assert "qed" in shown
    assert owner.create(disk_format="qed")["disk_format"] == "qed"
