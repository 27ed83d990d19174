"""Bare-metal nodes through the WSGI app, their jobs worked on in this process."""

import uuid

import pytest

from imagesvc.api import app as door
from imagesvc.worker import runner
from tests.api.caller import Caller
from tests.api.conftest import configure, working

ROOT = "/imagesvc/v1"
PROJECT = uuid.uuid4().hex
DISK = b"\x11\x22" * (1 << 20)
NODE_BYTES = 3 << 20


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The folder of the service and of the nodes' disks."""
    return tmp_path_factory.mktemp("baremetal")


@pytest.fixture(scope="module")
def service(folder):
    """A service of its own, since its jobs are worked on here."""
    nodes = []
    for name, projects in (("own", f":{PROJECT}"), ("open", "")):
        (folder / f"{name}.raw").write_bytes(bytes(NODE_BYTES))
        nodes.append(f"{name}:{folder}/{name}.raw{projects}")
    conf = configure(
        folder,
        f"[compute_local]\nstate_dir = {folder}/compute\n"
        f"[baremetal_local]\nnodes = {','.join(nodes)}\n",
    )
    with working(conf) as made:
        yield made


@pytest.fixture(scope="module")
def app(service):
    """Its WSGI application."""
    return door.create_app(service)


@pytest.fixture
def caller(app):
    """A member of the project that has a node of its own."""
    return Caller(app, PROJECT)


@pytest.fixture
def done(service, caller):
    """Start a job by a request, work until it ends, give it."""

    def go(path, body=None, by=caller):
        answer = by.request("POST", ROOT + path, body)
        assert answer.status_code == 202, answer.text
        job = answer.json["job"]
        worker = runner.Runner(service, "here", pause_max_s=0)
        while job["finished_at"] is None:
            worker.run_once()
            job = by.get(f"{ROOT}/jobs/{job['id']}").json["job"]
        return job

    return go


def refused(found, status, reason):
    assert (found.status_code, found.json["error"]["reason"]) == (status, reason), found.text


def node(caller, node_id):
    return caller.get(f"{ROOT}/nodes/{node_id}").json["node"]


def test_nodes_are_listed_for_who_may_use_them(app, caller):
    listed = caller.get(f"{ROOT}/nodes").json["nodes"]
    assert [one["id"] for one in listed] == ["open", "own"]
    assert caller.get(f"{ROOT}/nodes?limit=1").json["next"] == "open"
    assert [one["id"] for one in Caller(app).get(f"{ROOT}/nodes").json["nodes"]] == ["open"]
    refused(Caller(app).get(f"{ROOT}/nodes/own"), 404, "node-not-found")
    assert node(caller, "own")["project_id"] == PROJECT
    assert node(caller, "open") == {
        "id": "open", "state": "available", "size_bytes": NODE_BYTES, "project_id": None,
        "image_id": None, "detail": "",
    }  # fmt: skip


def test_an_image_goes_to_a_disk_and_back_into_an_image_and_the_disk_is_erased(
    app, caller, done, folder
):
    image_id = caller.active(DISK)
    job = done("/nodes/open/deploy", {"image_id": image_id})
    assert (job["type"], job["state"], job["result"]) == (
        "deploy-node", "done", {"node_id": "open"},
    )  # fmt: skip
    found = node(caller, "open")
    assert (found["state"], found["project_id"], found["image_id"]) == (
        "active", PROJECT, image_id,
    )  # fmt: skip
    assert (folder / "open.raw").read_bytes() == DISK + bytes(1 << 20)
    refused(Caller(app).get(f"{ROOT}/nodes/open"), 404, "node-not-found")
    capture = {"name": "back", "node_id": "open"}
    refused(Caller(app).request("POST", f"{ROOT}/captures", capture), 404, "node-not-found")
    job = done("/captures", capture)
    assert (job["type"], job["state"]) == ("capture-node", "done")
    image = caller.get(f"/v2/images/{job['image_id']}").json
    assert (image["status"], image["size"]) == ("active", NODE_BYTES)
    shown = caller.get(f"{ROOT}/images/{job['image_id']}").json["image"]
    assert shown["parent_image_id"] == image_id
    saved = caller.get(f"/v2/images/{job['image_id']}/file").content
    assert saved == DISK + bytes(1 << 20)
    assert done("/nodes/open/undeploy")["state"] == "done"
    assert node(Caller(app), "open")["state"] == "available"
    assert not any((folder / "open.raw").read_bytes())


def test_a_free_node_is_not_captured_and_one_of_its_own_project_is(app, caller, done):
    stranger = Caller(app)
    capture = {"name": "x", "node_id": "open"}
    refused(stranger.request("POST", f"{ROOT}/captures", capture), 404, "node-not-found")
    assert done("/captures", {"name": "x", "node_id": "own"})["state"] == "done"


def test_only_visible_active_images_that_fit_are_deployed(app, caller):
    path = f"{ROOT}/nodes/own/deploy"
    foreign = Caller(app).active()
    refused(caller.request("POST", path, {"image_id": foreign}), 404, "image-not-found")
    queued = caller.create()["id"]
    refused(caller.request("POST", path, {"image_id": queued}), 409, "state-conflict")
    large = caller.active(bytes(NODE_BYTES + 512))
    refused(caller.request("POST", path, {"image_id": large}), 400, "invalid-request")
    body = {"image_id": caller.active(DISK), "disk": 1}
    refused(caller.request("POST", path, body), 404, "disk-not-found")
    unknown = f"{ROOT}/nodes/nowhere/deploy"
    refused(caller.request("POST", unknown, {"image_id": large}), 404, "node-not-found")
    assert caller.request("POST", path, {"image": large}).status_code == 400


def test_a_reader_deploys_and_erases_nothing(app, caller):
    image_id = caller.active(DISK)
    reader = Caller(app, PROJECT, "reader")
    assert reader.get(f"{ROOT}/nodes/own").status_code == 200
    body = {"image_id": image_id}
    refused(reader.request("POST", f"{ROOT}/nodes/own/deploy", body), 403, "forbidden")
    refused(reader.request("POST", f"{ROOT}/nodes/own/undeploy"), 403, "forbidden")


def test_a_failed_deployment_leaves_the_node_as_it_was_and_can_be_retried(
    service, caller, done, folder, monkeypatch
):
    image_id = caller.active(DISK)
    path = folder / "own.raw"
    kept = path.rename(folder / "own.kept")
    path.mkdir()
    job = done("/nodes/own/deploy", {"image_id": image_id})
    assert job["state"] == "failed"
    assert job["cause"]
    path.rmdir()
    kept.rename(path)
    assert node(caller, "own")["state"] == "available"
    assert caller.request("POST", f"{ROOT}/jobs/{job['id']}/retry").status_code == 202
    worker = runner.Runner(service, "here", pause_max_s=0)
    while caller.get(f"{ROOT}/jobs/{job['id']}").json["job"]["finished_at"] is None:
        worker.run_once()
    assert node(caller, "own")["state"] == "active"


def test_no_node_gets_an_image_that_is_not_shared_any_more(app, service, caller, folder, done):
    done("/nodes/own/undeploy")
    owner = Caller(app)
    image_id = owner.active(DISK)
    owner.share(image_id, caller.project)
    job = caller.request("POST", f"{ROOT}/nodes/own/deploy", {"image_id": image_id}).json["job"]
    path = f"/v2/images/{image_id}/members/{caller.project}"
    assert owner.request("DELETE", path).status_code == 204
    runner.Runner(service, "here", pause_max_s=0).run_once()
    assert caller.get(f"{ROOT}/jobs/{job['id']}").json["job"]["state"] == "failed"
    assert not any((folder / "own.raw").read_bytes())
    again = caller.request("POST", f"{ROOT}/jobs/{job['id']}/retry")
    refused(again, 404, "image-not-found")
