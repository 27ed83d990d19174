"""Volumes through the WSGI app, their jobs worked on in this process."""

import uuid

import pytest

from imagesvc.api import app as door
from imagesvc.interface.volume import VolumeSpec
from imagesvc.testing.conformance.operation import result_of
from imagesvc.worker import runner
from tests.api.caller import Caller
from tests.api.conftest import configure, working

ROOT = "/imagesvc/v1"
UNKNOWN = "00000000-0000-4000-8000-000000000000"
SMALL = 1 << 20


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    """A service of its own, since its jobs are worked on here."""
    folder = tmp_path_factory.mktemp("volume")
    conf = configure(folder, f"[compute_local]\nstate_dir = {folder}/compute\n")
    with working(conf) as made:
        yield made


@pytest.fixture(scope="module")
def app(service):
    """Its WSGI application."""
    return door.create_app(service)


@pytest.fixture
def caller(app):
    """A member of a project of its own."""
    return Caller(app)


@pytest.fixture
def done(service, caller):
    """Start a job by a request, work until it ends, give it."""

    def go(path, body):
        job = caller.request("POST", ROOT + path, body).json["job"]
        worker = runner.Runner(service, "here", pause_max_s=0)
        while job["finished_at"] is None:
            worker.run_once()
            job = caller.get(f"{ROOT}/jobs/{job['id']}").json["job"]
        return job

    return go


@pytest.fixture
def volume(service, caller):
    """An empty volume of 1 MiB, which no request could ask for."""
    driver = service.backends.volume()
    spec = VolumeSpec("v", caller.project, SMALL)
    (volume_id,) = result_of(driver, driver.start_create(spec, 1, uuid.uuid4().hex))
    yield volume_id
    caller.request("DELETE", f"{ROOT}/volumes/{volume_id}")


def refused(found, status, reason):
    assert (found.status_code, found.json["error"]["reason"]) == (status, reason), found.text


def test_volumes_are_made_listed_shown_and_deleted(app, caller, done):
    job = done("/volumes", {"name": "v", "size_gib": 1, "count": 2})
    assert (job["type"], job["state"]) == ("create-volumes", "done")
    listed = caller.get(f"{ROOT}/volumes").json["volumes"]
    assert [one["id"] for one in listed] == sorted(job["result"]["volumes"])
    assert {one["name"] for one in listed} == {"v-1", "v-2"}
    first = listed[0]["id"]
    assert caller.get(f"{ROOT}/volumes/{first}").json["volume"]["size_bytes"] == 1 << 30
    page = caller.get(f"{ROOT}/volumes?limit=1").json
    assert page["next"] == first
    assert Caller(app).get(f"{ROOT}/volumes").json["volumes"] == []
    refused(Caller(app).get(f"{ROOT}/volumes/{first}"), 404, "volume-not-found")
    refused(Caller(app).request("DELETE", f"{ROOT}/volumes/{first}"), 404, "volume-not-found")
    for one in listed:
        assert caller.request("DELETE", f"{ROOT}/volumes/{one['id']}").status_code == 204
    refused(caller.get(f"{ROOT}/volumes/{first}"), 404, "volume-not-found")


def test_a_volume_of_an_image_is_as_large_as_its_disk_in_whole_gib(app, caller, done):
    image_id = caller.active()
    job = done("/volumes", {"name": "v", "image_id": image_id})
    (volume_id,) = job["result"]["volumes"]
    found = caller.get(f"{ROOT}/volumes/{volume_id}").json["volume"]
    assert (found["image_id"], found["size_bytes"], found["state"]) == (
        image_id, 1 << 30, "available",
    )  # fmt: skip
    caller.request("DELETE", f"{ROOT}/volumes/{volume_id}")
    body = {"name": "v", "image_id": image_id}
    refused(Caller(app).request("POST", f"{ROOT}/volumes", body), 404, "image-not-found")
    body["image_id"] = caller.create()["id"]
    refused(caller.request("POST", f"{ROOT}/volumes", body), 409, "state-conflict")


@pytest.mark.parametrize(
    "body",
    [
        {"name": "v"},
        {"size_gib": 1},
        {"name": "v", "size_gib": 0},
        {"name": "v", "size_gib": 1, "count": 101},
        {"name": "v", "size_gib": 1, "colour": "red"},
        {"name": "", "size_gib": 1},
    ],
)
def test_a_creation_with_wrong_fields_is_refused(caller, body):
    assert caller.request("POST", f"{ROOT}/volumes", body).status_code == 400


def test_an_unknown_backend_and_disk_are_not_found(caller):
    body = {"name": "v", "size_gib": 1, "backend_id": "nowhere"}
    refused(caller.request("POST", f"{ROOT}/volumes", body), 404, "backend-not-found")
    body = {"name": "v", "image_id": caller.active(), "disk": 7}
    refused(caller.request("POST", f"{ROOT}/volumes", body), 404, "disk-not-found")


def test_the_same_key_gives_the_same_job(caller):
    headers = {"Idempotency-Key": uuid.uuid4().hex}
    body = {"name": "v", "size_gib": 1}
    ids = {
        caller.request("POST", f"{ROOT}/volumes", body, headers=headers).json["job"]["id"]
        for _ in range(2)
    }
    assert len(ids) == 1
    caller.request("POST", f"{ROOT}/jobs/{ids.pop()}/cancel")


def test_what_is_not_there_is_not_attached_and_not_detached(caller, volume):
    path = f"{ROOT}/servers/{UNKNOWN}/volumes"
    refused(caller.request("POST", path, {"volume_id": volume}), 404, "server-not-found")
    refused(caller.request("DELETE", f"{path}/{UNKNOWN}"), 404, "volume-not-found")
    refused(caller.request("DELETE", f"{path}/{volume}"), 404, "attachment-not-found")


def test_a_volume_whose_server_is_gone_is_freed_when_it_is_used(service, caller, volume):
    driver = service.backends.volume()
    project_id = caller.project
    driver.connect(volume, UNKNOWN, project_id=project_id)
    assert caller.get(f"{ROOT}/volumes/{volume}").json["volume"]["state"] == "in-use"
    detach = f"{ROOT}/servers/{UNKNOWN}/volumes/{volume}"
    assert caller.request("DELETE", detach).status_code == 204
    driver.connect(volume, UNKNOWN, project_id=project_id)
    assert caller.request("DELETE", f"{ROOT}/volumes/{volume}").status_code == 204


def test_a_volume_becomes_an_image_of_the_kind_that_is_asked(caller, done, volume):
    job = done("/captures", {"name": "from", "volume_id": volume, "kind": "system-disk"})
    assert (job["type"], job["state"]) == ("capture-volume", "done")
    image = caller.get(f"/v2/images/{job['image_id']}").json
    assert (image["status"], image["size"], image["disk_format"]) == ("active", SMALL, "raw")


def test_an_image_of_a_volume_names_the_image_that_the_volume_was_made_of(caller, done):
    """At once: what the job reads has tests of its own."""
    source, children = caller.active(), set()
    (volume_id,) = done("/volumes", {"name": "v", "image_id": source})["result"]["volumes"]
    for kind in ("system-disk", "data-disk"):
        body = {"name": "c", "volume_id": volume_id, "kind": kind}
        job = caller.request("POST", f"{ROOT}/captures", body).json["job"]
        shown = caller.get(f"{ROOT}/images/{job['image_id']}").json["image"]
        assert shown["parent_image_id"] == source
        children.add(job["image_id"])
        cancelled = caller.request("POST", f"{ROOT}/jobs/{job['id']}/cancel")
        assert cancelled.status_code == 202, cancelled.text
    uses = caller.get(f"{ROOT}/images/{source}/impact").json["impact"]["uses"]
    assert {one["id"] for one in uses if one["kind"] == "image"} == children


@pytest.mark.parametrize(
    "body",
    [
        {"name": "x"},
        {"name": "x", "server_id": UNKNOWN, "volume_id": UNKNOWN},
        {"name": "x", "volume_id": UNKNOWN, "disk_id": "disk0"},
        {"name": "x", "server_id": UNKNOWN, "kind": "data-disk"},
    ],
)
def test_a_capture_names_one_source_and_its_own_fields(caller, body):
    assert caller.request("POST", f"{ROOT}/captures", body).status_code == 400


def test_a_volume_of_another_project_is_not_captured(app, volume):
    body = {"name": "x", "volume_id": volume}
    refused(Caller(app).request("POST", f"{ROOT}/captures", body), 404, "volume-not-found")


def test_no_volume_is_made_of_an_image_that_is_not_shared_any_more(app, service, caller):
    owner = Caller(app)
    image_id = owner.active()
    owner.share(image_id, caller.project)
    body = {"name": "v", "image_id": image_id}
    job = caller.request("POST", f"{ROOT}/volumes", body).json["job"]
    path = f"/v2/images/{image_id}/members/{caller.project}"
    assert owner.request("DELETE", path).status_code == 204
    runner.Runner(service, "here", pause_max_s=0).run_once()
    found = caller.get(f"{ROOT}/jobs/{job['id']}").json["job"]
    assert (found["state"], caller.get(f"{ROOT}/volumes").json["volumes"]) == ("failed", [])
    again = caller.request("POST", f"{ROOT}/jobs/{job['id']}/retry")
    refused(again, 404, "image-not-found")
