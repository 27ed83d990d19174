"""The door for images that come from another region: an agency opens it, and shuts it at once."""

import hashlib
import threading
import uuid

import pytest

from imagesvc.db import job as job_rows
from imagesvc.db import metadata
from imagesvc.db import upload as upload_rows
from imagesvc.manager import upload_expiry
from tests.api.caller import Caller
from tests.api.native import tus
from tests.api.native.installation import Installation, make_agency
from tests.poll import until

ROOT = "/imagesvc/v1"
MIB = 1 << 20
DATA = bytes(range(256)) * 5000


def test_agencies_are_of_one_project_and_unlike(west):
    member, stranger = west.caller(), west.caller()
    made = make_agency(member, "p1")
    again = {"name": "second", "source_region": "East", "source_project_id": "p1"}
    assert member.request("POST", f"{ROOT}/agencies", again).status_code == 409
    assert (
        member.request("POST", f"{ROOT}/agencies", again | {"source_region": "West"}).status_code
        == 400
    )
    assert [one["id"] for one in member.get(f"{ROOT}/agencies").json["agencies"]] == [made]
    assert member.get(f"{ROOT}/agencies/{made}").json["agency"]["source_project_id"] == "p1"
    assert stranger.get(f"{ROOT}/agencies").json["agencies"] == []
    assert stranger.request("DELETE", f"{ROOT}/agencies/{made}").status_code == 404
    reader = west.caller("reader", project=member.project)
    assert reader.request("DELETE", f"{ROOT}/agencies/{made}").status_code == 403
    assert member.request("DELETE", f"{ROOT}/agencies/{made}").status_code == 204
    assert member.request("DELETE", f"{ROOT}/agencies/{made}").status_code == 404


class Agent:
    """The service of the East, as it speaks to the West's door."""

    def __init__(self, west, source, project, region="East", roles=("service",)):
        self.caller = Caller(west.app, uuid.uuid4().hex, *roles)
        self.claim = {
            "Imagesvc-Source-Region": region,
            "Imagesvc-Source-Project": source,
            "Imagesvc-Target-Project": project,
        }

    def ask(self, method, path, body=None, *, headers=None, **more):
        """One request."""
        return self.caller.request(
            method, path, body, headers=self.claim | (headers or {}), **more
        )  # fmt: skip

    def begin(self, token, data=DATA, **values):
        """Begin an image of one disk."""
        body = {
            "source_image_id": "s", "name": "n", "kind": "system-disk", "disk_format": "raw",
            "container_format": "bare",
            "disks": [
                {
                    "index": 0, "role": "system", "disk_format": "raw", "size_bytes": len(data),
                    "hash_algorithm": "sha512", "hash_value": hashlib.sha512(data).hexdigest(),
                }
            ],
            **values,
        }  # fmt: skip
        return self.ask("PUT", f"{ROOT}/region-images/{token}", body)

    def send(self, upload_id, offset, data):
        """Send bytes."""
        headers = {"Tus-Resumable": "1.0.0", "Upload-Offset": str(offset)}
        path = f"{ROOT}/uploads/{upload_id}"
        return self.ask("PATCH", path, data, kind=tus.OCTETS, headers=headers)


@pytest.fixture
def agent(west, source, target):
    """The service of the East, at work for the source's project."""
    return Agent(west, source.project, target.project)


def audited(caller, target_id, action):
    """The detail of the one record of that action."""
    query = f"target_id={target_id}&limit=100"
    events = caller.get(f"{ROOT}/audit", query_string=query).json["events"]
    [found] = [one["detail"] for one in events if one["action"] == action]
    return found


def deleted(caller, made):
    """What the audit trail says of an image's end."""
    return audited(caller, made["image_id"], "image:delete")


def test_the_same_token_is_the_same_image(agent, target):
    token = uuid.uuid4().hex
    first, second = (agent.begin(token).json["region_image"] for _ in range(2))
    assert first["image_id"] == second["image_id"]
    assert first["disks"] == second["disks"]
    assert len(target.listed()) == 1
    path = f"{ROOT}/region-images/{token}"
    assert agent.ask("DELETE", path).status_code == 204
    assert (agent.ask("GET", path).status_code, agent.begin(token).status_code) == (404, 404)
    assert target.listed() == []


def test_another_region_promises_nothing_here(agent, target):
    promised = {"provided_until": "2090-01-01", "colour": "red"}
    made = agent.begin(uuid.uuid4().hex, properties=promised).json["region_image"]
    shown = target.get(f"/v2/images/{made['image_id']}").json
    assert (shown.get("provided_until"), shown["colour"]) == (None, "red")


@pytest.mark.parametrize("named", [True, False])
def test_requests_of_one_token_at_once_all_get_the_image_that_one_of_them_made(
    west, agent, target, monkeypatch, named
):
    token, wanted = uuid.uuid4().hex, {"image_id": str(uuid.uuid4())} if named else {}
    manager, door, answers = west.service.region.images, threading.Barrier(3, timeout=10), []
    monkeypatch.setattr(
        manager._images, "prepare", lambda ctx, new, prepare=manager._images.prepare: (
            door.wait(), prepare(ctx, new)
        )[1],
    )  # fmt: skip
    ask = [
        threading.Thread(target=lambda: answers.append(agent.begin(token, **wanted)))
        for _ in range(3)
    ]
    for one in ask:
        one.start()
    for one in ask:
        one.join()
    assert [one.status_code for one in answers] == [200] * 3, [one.text for one in answers]
    [made] = {one.json["region_image"]["image_id"] for one in answers}
    assert target.listed() == [made]
    assert audited(target, made, "region_image:create")["source_image_id"] == "s"
    assert tus.Tus(target).quota()["images"] == (1, 0)


def test_a_deleted_agency_stops_the_next_bytes_and_takes_back_what_came(west, agent, target):
    made = agent.begin(uuid.uuid4().hex).json["region_image"]
    upload_id = made["disks"][0]["upload_id"]
    assert agent.send(upload_id, 0, DATA[:MIB]).status_code == 204
    [found] = target.get(f"{ROOT}/agencies").json["agencies"]
    assert target.request("DELETE", f"{ROOT}/agencies/{found['id']}").status_code == 204
    refused = agent.send(upload_id, MIB, DATA[MIB:])
    assert (refused.status_code, refused.json["error"]["reason"]) == (403, "forbidden")
    assert "agency create" in refused.json["error"]["message"]
    assert target.get(f"/v2/images/{made['image_id']}").status_code == 404
    assert tus.objects(west.service, made["image_id"]) == []
    assert tus.Tus(target).quota()["images"] == (0, 0)
    assert tus.Tus(target).quota()["stored_bytes"] == (0, 0)
    told = deleted(target, made)
    assert (told["cause"], told["source_region"]) == ("The agency was deleted.", "East")


@pytest.mark.parametrize("begun", [False, True])
def test_a_deleted_agency_stops_an_image_of_which_all_bytes_came(tmp_path, begun):
    made = Installation(tmp_path, "West")
    member = made.caller()
    agency = make_agency(member, "p1")
    agent = Agent(made, "p1", member.project)
    coming = agent.begin("a").json["region_image"]
    job_id = agent.send(coming["disks"][0]["upload_id"], 0, DATA).headers["X-Job-Id"]
    if begun:
        with made.service.database.write() as conn:
            job = job_rows.claim(conn, "w", 30, metadata.now())
            job_rows.park(conn, job, metadata.now(), 0)
    assert member.request("DELETE", f"{ROOT}/agencies/{agency}").status_code == 204
    made.work(3)
    job = member.get(f"{ROOT}/jobs/{job_id}").json["job"]
    image = member.get(f"/v2/images/{coming['image_id']}").json
    assert (job["state"], image["status"]) == ("cancelled", "killed")
    refused = agent.ask("GET", f"{ROOT}/region-images/a")
    assert (refused.status_code, "agency create" in refused.json["error"]["message"]) == (403, True)
    tus.clean_up(made.service)
    assert tus.objects(made.service, coming["image_id"]) == []
    assert tus.Tus(member).quota() == dict.fromkeys(("images", "stored_bytes", "uploads"), (0, 0))
    told = audited(member, job_id, "job:cancel")
    assert told["cause"] == "The agency was deleted."
    made.close()


def test_wrong_bytes_are_no_image(west, agent, target):
    made = agent.begin(uuid.uuid4().hex).json["region_image"]
    answer = agent.send(made["disks"][0]["upload_id"], 0, b"x" * len(DATA))
    assert answer.status_code == 204
    path = f"/v2/images/{made['image_id']}"
    until(lambda: target.get(path).json["status"] == "killed")
    until(lambda: tus.objects(west.service, made["image_id"]) == [] or tus.clean_up(west.service))
    assert tus.Tus(target).quota()["stored_bytes"] == (0, 0)
    job = target.get(f"{ROOT}/jobs/{answer.headers['X-Job-Id']}").json["job"]
    assert "digest" in job["cause"]
    again = target.request("POST", f"{ROOT}/jobs/{job['id']}/retry")
    assert again.status_code == 409


def test_nobody_else_works_for_a_project(west, source, target):
    for other in (
        Agent(west, source.project, target.project, roles=("member",)),
        Agent(west, source.project, target.project, roles=("admin", "member")),
        Agent(west, source.project, target.project, region="South"),
        Agent(west, uuid.uuid4().hex, target.project),
        Agent(west, source.project, uuid.uuid4().hex),
    ):
        found = other.begin(uuid.uuid4().hex)
        assert (found.status_code, found.json["error"]["reason"]) == (403, "forbidden"), found.text
    member = target.request("PUT", f"{ROOT}/region-images/t", {})
    assert member.status_code == 400  # the body is looked at first
    assert target.get(f"{ROOT}/region-images/t").status_code == 403
    assert target.listed() == []


def test_agents_of_two_agencies_know_nothing_of_each_other(west, agent, target):
    made = agent.begin("one").json["region_image"]
    body = {"name": "second", "source_region": "East", "source_project_id": "p2"}
    assert target.request("POST", f"{ROOT}/agencies", body).status_code == 201
    other = Agent(west, "p2", target.project)
    assert other.ask("GET", f"{ROOT}/region-images/one").status_code == 404
    upload_id = made["disks"][0]["upload_id"]
    assert other.ask("GET", f"{ROOT}/uploads/{upload_id}").status_code == 404
    assert other.send(upload_id, 0, DATA).status_code == 404
    assert other.begin("one").json["region_image"]["image_id"] != made["image_id"]


def test_an_agent_does_nothing_but_bring_its_images(agent, target):
    image_id = target.active(DATA)
    for path in (f"{ROOT}/jobs", f"/v2/images/{image_id}", f"{ROOT}/uploads", f"{ROOT}/agencies"):
        found = agent.ask("GET", path)
        assert found.status_code == 403, path
    upload, _ = tus.Tus(target).begin(10)
    assert agent.ask("GET", upload).status_code == 404
    half = {name: value for name, value in agent.claim.items() if "Target" not in name}
    assert agent.caller.get(f"{ROOT}/region-images/x", headers=half).status_code == 400


def test_an_image_that_nobody_goes_on_with_is_deleted(west, agent, target):
    made = agent.begin(uuid.uuid4().hex).json["region_image"]
    upload_id = made["disks"][0]["upload_id"]
    agent.send(upload_id, 0, DATA[:100])
    with west.service.database.write() as conn:
        past = metadata.now().replace(year=2020)
        conn.execute(
            upload_rows.TABLE.update()
            .where(upload_rows.TABLE.c.id == upload_id)
            .values(expires_at=past)
        )
        upload_expiry.expire(
            conn, west.service.operation, west.service.quotas, upload_id, metadata.now()
        )
    assert target.get(f"/v2/images/{made['image_id']}").status_code == 404
    until(lambda: tus.objects(west.service, made["image_id"]) == [] or tus.clean_up(west.service))
    assert tus.Tus(target).quota()["images"] == (0, 0)
    assert deleted(target, made)["cause"] == "Its upload expired."


def test_a_key_that_the_target_project_has_not_is_told(agent):
    found = agent.begin(uuid.uuid4().hex, key_id="k")
    assert (found.status_code, found.json["error"]["reason"]) == (404, "key-not-found")


def test_a_region_speaks_by_its_own_user_alone_if_one_is_named(tmp_path):
    more = (
        "[service]\nregions = east\n[region_east]\nname = East\nendpoint = http://127.0.0.1:1\n"
        "username = u\npassword = p\ncaller = the-east\n"
    )
    made = Installation(tmp_path, "West", more)
    member = made.caller()
    make_agency(member, "p1")
    own, other = (Agent(made, "p1", member.project) for _ in range(2))
    own.caller.token = f"the-east/{own.caller.project}/service"
    assert own.begin("a").status_code == 200
    refused = other.begin("b")
    assert (refused.status_code, "speak" in refused.json["error"]["message"]) == (403, True)
    made.close()
