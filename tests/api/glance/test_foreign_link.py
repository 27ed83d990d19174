"""Locations that stay where they are, and are read whole by a job."""

import hashlib

import pytest

from imagesvc import errors
from imagesvc.worker.step import link
from tests.api.caller import Caller
from tests.api.glance.conftest import DATA
from tests.api.glance.foreign_site import Far
from tests.web_server import answer

NULLS = {"checksum": None, "os_hash_algo": None, "os_hash_value": None}
MIB = bytes(1 << 20)


@pytest.fixture(scope="module")
def far(tmp_path_factory):
    made = Far(tmp_path_factory.mktemp("far"))
    yield made
    made.close()


@pytest.fixture
def queued(far):
    return far.owner.create()["id"]


def digest(algorithm, data=DATA):
    """What a caller gives who knows the bytes."""
    value = hashlib.new(algorithm, data).hexdigest()
    return {"os_hash_algo": algorithm, "os_hash_value": value}


def of(image):
    """What it says of its bytes."""
    return {name: image[name] for name in NULLS}


def task(far, image_id):
    """The image's newest."""
    return far.owner.get(f"/v2/images/{image_id}/tasks").json["tasks"][0]


@pytest.mark.parametrize(
    ("said", "shown"),
    [("sha256", "sha256"), ("sha512", "sha512"), ("sha1", "sha512"), ("md5", "sha512")],
)
def test_an_image_with_a_digest_is_active_when_all_bytes_were_read(far, queued, said, shown):
    found = far.post(queued, **digest(said))
    assert (found.status_code, found.content) == (202, b"")
    image = far.image(queued)
    assert (image["status"], image["size"], of(image)) == ("importing", None, NULLS)
    image = far.done(queued)
    assert (image["status"], image["size"], image["stores"]) == ("active", len(DATA), "web")
    assert of(image) == {"checksum": hashlib.md5(DATA).hexdigest(), **digest(shown)}
    assert image["locations"] == [{"url": far.url(), "metadata": {"store": "web"}}]
    assert (task(far, queued)["status"], task(far, queued)["type"]) == (
        "success",
        "location_import",
    )
    assert far.several.keys("plain") == []


def test_of_a_wrong_digest_nothing_stays_but_the_url_until_the_next_attempt(far, queued):
    assert far.post(queued, **digest("sha512", b"other")).status_code == 202
    image = far.done(queued)
    assert (image["status"], image["size"], image["stores"]) == ("queued", None, "web")
    assert of(image) == NULLS
    assert [one["url"] for one in image["locations"]] == [far.url()]
    assert (task(far, queued)["status"], "digest" in task(far, queued)["message"]) == (
        "failure", True,
    )  # fmt: skip
    assert far.owner.get(f"/v2/images/{queued}/file").status_code == 204
    far.pages["/other"] = DATA
    assert far.post(queued, "/other", **digest("sha256")).status_code == 202
    image = far.done(queued)
    assert [one["url"] for one in image["locations"]] == [far.url("/other")]
    assert (image["status"], image["os_hash_algo"]) == ("active", "sha256")


def test_an_upload_takes_the_place_of_a_url_that_failed(far, queued):
    far.post(queued, **digest("sha512", b"other"))
    far.done(queued)
    assert far.owner.upload(queued).status_code == 204
    image = far.image(queued)
    assert (image["stores"], len(image["locations"])) == ("plain", 1)
    assert far.owner.get(f"/v2/images/{queued}/file").content == b"x" * 1000
    far.owner.request("DELETE", f"/v2/images/{queued}")


def test_an_image_without_a_digest_is_active_at_once_and_gets_its_own(far, queued):
    assert far.post(queued).status_code == 202
    image = far.image(queued)
    assert (image["status"], image["size"], image["stores"]) == ("active", len(DATA), "web")
    assert of(image) == {**NULLS, "os_hash_algo": "sha512"}
    assert far.owner.get(f"/v2/images/{queued}/file").content == DATA
    image = far.done(queued)
    assert of(image) == {"checksum": hashlib.md5(DATA).hexdigest(), **digest("sha512")}
    assert task(far, queued)["status"] == "success"
    assert "os_glance_import_task" not in image


def test_an_image_that_is_deleted_before_it_was_hashed_is_gone(far, queued):
    assert far.post(queued).status_code == 202
    assert far.owner.request("DELETE", f"/v2/images/{queued}").status_code == 204
    assert far.several.work() == 0
    assert far.owner.get(f"/v2/images/{queued}").status_code == 404
    other = far.owner.create()["id"]

    def delete_meanwhile(head, connection):
        connection.sendall(answer(b"", length=len(MIB) * 3))
        connection.sendall(MIB)
        if len(far.web.requests) == begun + 2:
            far.owner.request("DELETE", f"/v2/images/{other}")
        connection.sendall(MIB * 2)

    begun = len(far.web.requests)
    far.pages["/meanwhile"] = delete_meanwhile
    assert far.post(other, "/meanwhile").status_code == 202
    far.several.work()
    assert far.owner.get(f"/v2/images/{other}").status_code == 404
    assert len(far.web.requests) == begun + 2


def test_bytes_that_are_not_fit_further_on_end_the_use_of_an_active_image(far, queued):
    disguised = MIB + b"conectix" + bytes(504)
    far.pages["/disguised"] = disguised
    assert far.post(queued, "/disguised").status_code == 202
    assert far.image(queued)["status"] == "active"
    image = far.done(queued)
    assert (image["status"], image["os_hash_algo"]) == ("deactivated", None)
    assert "vhd" in task(far, queued)["message"]
    found = far.owner.get("/imagesvc/v1/audit", query_string=f"target_id={queued}").json["events"]
    assert found[0]["action"] == "image:deactivate"
    checked = far.owner.create()["id"]
    far.post(checked, "/disguised", **digest("sha256", disguised))
    assert far.done(checked)["status"] == "queued"


def test_an_image_that_got_another_format_while_it_was_read_is_not_active(far, queued):
    def patch_meanwhile(head, connection):
        connection.sendall(answer(b"", length=len(MIB) * 2))
        connection.sendall(MIB)
        found = far.owner.patch(queued, ("replace", "/disk_format", "qcow2"))
        assert found.status_code == 200, found.text
        connection.sendall(MIB)

    far.pages["/patched"] = patch_meanwhile
    assert far.post(queued, "/patched", **digest("sha512", MIB * 2)).status_code == 202
    image = far.done(queued)
    assert (image["status"], image["disk_format"], of(image)) == ("queued", "qcow2", NULLS)
    assert "format" in task(far, queued)["message"]


def test_bytes_that_are_too_many_end_the_use_of_an_active_image(far, queued, monkeypatch):
    def too_many(*_):
        raise errors.TooLarge(what="The disks of an image", limit=1, unit="bytes")

    assert far.post(queued).status_code == 202
    monkeypatch.setattr(link, "_read", too_many)
    assert far.done(queued)["status"] == "deactivated"


def test_an_image_whose_bytes_change_before_they_are_hashed_gets_no_digest(far, queued):
    far.pages["/changing"] = DATA
    assert far.post(queued, "/changing").status_code == 202
    far.pages["/changing"] = DATA + b"x"
    image = far.done(queued)
    assert (image["status"], image["size"], of(image)) == ("active", len(DATA), NULLS)
    assert task(far, queued)["status"] == "failure"


@pytest.mark.parametrize(
    "body",
    [
        {}, {"url": ""}, {"url": "http://169.254.169.254/x"},
        {"validation_data": {"os_hash_algo": "sha256"}},
        {"validation_data": {"os_hash_value": "0" * 64}},
        {"validation_data": {"os_hash_algo": "sha512", "os_hash_value": "0" * 64}},
        {"validation_data": {"os_hash_algo": "sha123", "os_hash_value": "0" * 64}},
    ],
    ids=str,
)  # fmt: skip
def test_what_is_wrong_is_refused_and_never_asked(far, queued, body):
    if "validation_data" in body:
        body = {"url": far.url(), **body}
    asked = len(far.web.requests)
    found = far.owner.request("POST", f"/v2/images/{queued}/locations", body)
    assert found.status_code == 400, found.text
    assert far.image(queued)["status"] == "queued"
    assert len(far.web.requests) == asked


def test_a_url_of_a_port_that_is_not_allowed_does_not_pass_filtering(far, queued):
    body = {"url": "http://127.0.0.1:1/x"}
    found = far.owner.request("POST", f"/v2/images/{queued}/locations", body)
    assert (found.status_code, "does not pass filtering" in found.text) == (400, True)


def test_only_a_queued_image_with_formats_is_linked(far, queued):
    assert far.post(far.linked()).status_code == 409
    bare = far.owner.request("POST", "/v2/images", {}).json["id"]
    assert far.post(bare).status_code == 409
    assert far.post(queued, **digest("sha256")).status_code == 202
    assert far.post(queued, **digest("sha256")).status_code == 409
    assert far.done(queued)["status"] == "active"


def test_owners_services_and_administrators_link_images(far):
    app, owner = far.several.app, far.owner.project
    image_id = far.owner.create(visibility="private")["id"]
    shared = far.owner.create(visibility="community")["id"]
    assert far.post(image_id, caller=Caller(app, owner, "reader")).status_code == 403
    assert far.post(image_id, caller=Caller(app)).status_code == 404
    assert far.post(shared, caller=Caller(app)).status_code == 403
    for role in ("service", "admin"):
        image_id = far.owner.create(visibility="private")["id"]
        assert far.post(image_id, caller=Caller(app, None, role)).status_code == 202
        assert far.done(image_id)["status"] == "active"
    other = far.owner.request("POST", f"/v2/images/{shared}/locations", {"url": "rbd://a/b/c/d"})
    assert other.status_code == 403


def test_a_job_that_is_cancelled_leaves_the_image_queued(far, queued):
    far.post(queued, **digest("sha256"))
    (job,) = far.owner.get("/imagesvc/v1/jobs", query_string="state=ready").json["jobs"]
    assert job["type"] == "link-location"
    assert far.owner.request("POST", f"/imagesvc/v1/jobs/{job['id']}/cancel").status_code == 202
    assert (far.done(queued)["status"], far.image(queued)["stores"]) == ("queued", "web")
