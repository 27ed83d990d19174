"""Our own API through the WSGI app."""

import time
import uuid

import pytest

from imagesvc import context
from tests import open_job
from tests.api.caller import OCTETS, Caller

ROOT = "/imagesvc/v1"
UNKNOWN = "00000000-0000-4000-8000-000000000000"


@pytest.fixture
def caller(app):
    """A member of a project of its own."""
    return Caller(app)


@pytest.fixture
def admin(app):
    """An administrator."""
    return Caller(app, None, "admin", "member")


def refused(found, status, reason=None):
    """An error of our own form."""
    assert found.status_code == status, found.text
    error = found.json["error"]
    assert error["code"] == status
    assert error["message"]
    assert error["request_id"].startswith("req-")
    if reason:
        assert error["reason"] == reason


def test_liveness_and_readiness_need_no_token(app):
    nobody = Caller(app, token="none")
    assert nobody.get("/healthcheck").json == {"status": "ok"}
    found = nobody.get("/healthcheck/ready")
    assert found.status_code == (503 if found.json["unready"] else 200)


@pytest.mark.parametrize("path", ["/servers", "/jobs", "/audit", "/backends", "/health"])
def test_everything_else_needs_a_token(app, path):
    refused(Caller(app, token="none").get(ROOT + path), 401, "unauthorized")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", f"/jobs/{UNKNOWN}"),
        ("POST", f"/jobs/{UNKNOWN}/cancel"),
        ("POST", f"/jobs/{UNKNOWN}/retry"),
        ("GET", f"/servers/{UNKNOWN}"),
        ("DELETE", f"/servers/{UNKNOWN}"),
        ("POST", f"/servers/{UNKNOWN}/start"),
        ("POST", f"/servers/{UNKNOWN}/stop"),
        ("GET", f"/servers/{UNKNOWN}/console"),
        ("GET", f"/images/{UNKNOWN}/disk/0/file"),
    ],
)
def test_what_is_not_there_is_404(caller, method, path):
    refused(caller.request(method, ROOT + path), 404)


@pytest.mark.parametrize("path", ["/backends", "/health"])
def test_backends_are_for_administrators(caller, admin, path):
    refused(caller.get(ROOT + path), 403)
    found = admin.get(ROOT + path).json["backends"]
    assert {"storage", "compute", "identity"} <= {one["kind"] for one in found}


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"image_id": UNKNOWN},
        {"image_id": UNKNOWN, "name": ""},
        {"image_id": UNKNOWN, "name": "x", "colour": "red"},
        {"image_id": UNKNOWN, "name": "x", "count": 0},
        {"image_id": UNKNOWN, "name": "x", "count": "3"},
        {"image_id": UNKNOWN, "name": "x", "count": 101},
        {"image_id": UNKNOWN, "name": "x", "memory_mib": 1},
        {"image_id": UNKNOWN, "name": "x", "vcpus": 1.5},
        {"image_id": UNKNOWN, "name": "x", "data_disks": [{}]},
        {"image_id": UNKNOWN, "name": "x", "data_disks": [{"size_gib": 0}]},
        {"image_id": UNKNOWN, "name": "x", "data_disks": [{"size_gib": 1, "image_id": UNKNOWN}]},
        {"image_id": UNKNOWN, "name": "x", "data_disks": [{"size_gib": 1}] * 65},
        [],
    ],
)
def test_a_creation_with_wrong_fields_is_refused(caller, body):
    refused(caller.request("POST", f"{ROOT}/servers", body), 400)


def test_servers_come_from_visible_active_images(app, caller):
    body = {"image_id": UNKNOWN, "name": "x"}
    refused(caller.request("POST", f"{ROOT}/servers", body), 404)
    body["image_id"] = caller.active()
    refused(Caller(app).request("POST", f"{ROOT}/servers", body), 404)
    body["image_id"] = caller.create()["id"]
    refused(caller.request("POST", f"{ROOT}/servers", body), 409)


def test_data_disks_come_from_visible_active_images_or_from_nothing(app, caller):
    body = {"image_id": caller.active(), "name": "x"}
    for image_id, status in (
        (UNKNOWN, 404),
        (Caller(app).active(), 404),
        (caller.create()["id"], 409),
        (caller.active(), 202),
    ):
        disks = [{"size_gib": 1}, {"image_id": image_id}]
        found = caller.request("POST", f"{ROOT}/servers", body | {"data_disks": disks})
        assert found.status_code == status


def test_a_creation_is_a_job_and_the_same_key_gives_the_same_job(app, caller):
    body = {"image_id": caller.active(), "name": "x", "count": 3}
    headers = {"Idempotency-Key": uuid.uuid4().hex}
    first = caller.request("POST", f"{ROOT}/servers", body, headers=headers)
    again = caller.request("POST", f"{ROOT}/servers", body, headers=headers)
    assert first.status_code == again.status_code == 202
    job = first.json["job"]
    assert job["id"] == again.json["job"]["id"]
    assert (job["type"], job["state"], job["percent"]) == ("create-servers", "ready", 0.0)
    without = caller.request("POST", f"{ROOT}/servers", body)
    assert without.json["job"]["id"] != job["id"]
    shown = caller.get(f"{ROOT}/jobs/{job['id']}").json["job"]
    assert shown["id"] == job["id"]
    refused(Caller(app).get(f"{ROOT}/jobs/{job['id']}"), 404)


def test_a_key_that_is_no_token_is_refused(caller):
    body = {"image_id": UNKNOWN, "name": "x"}
    for key in ("", "k" * 256):
        headers = {"Idempotency-Key": key}
        refused(caller.request("POST", f"{ROOT}/servers", body, headers=headers), 400)


def test_a_waiting_job_is_cancelled_and_can_run_again(caller):
    body = {"image_id": caller.active(), "name": "x"}
    job = caller.request("POST", f"{ROOT}/servers", body).json["job"]
    path = f"{ROOT}/jobs/{job['id']}"
    refused(caller.request("POST", f"{path}/retry"), 409)
    cancelled = caller.request("POST", f"{path}/cancel")
    assert (cancelled.status_code, cancelled.json["job"]["state"]) == (202, "cancelled")
    refused(caller.request("POST", f"{path}/cancel"), 409)
    again = caller.request("POST", f"{path}/retry")
    assert (again.status_code, again.json["job"]["state"]) == (202, "ready")


def test_jobs_are_listed_newest_first_in_pages(caller):
    body = {"image_id": caller.active(), "name": "x"}
    ids = [caller.request("POST", f"{ROOT}/servers", body).json["job"]["id"] for _ in range(3)]
    page = caller.get(f"{ROOT}/jobs?limit=2").json
    assert [job["id"] for job in page["jobs"]] == ids[:0:-1]
    rest = caller.get(f"{ROOT}/jobs?limit=2&marker={page['next']}").json
    assert ([job["id"] for job in rest["jobs"]], rest["next"]) == (ids[:1], None)
    assert caller.get(f"{ROOT}/jobs?state=done").json["jobs"] == []


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=-1", "limit=x", "limit=1&limit=2", "state=odd", "type=odd", "colour=red"],
)
def test_wrong_queries_are_refused(caller, query):
    refused(caller.get(f"{ROOT}/jobs?{query}"), 400)


def test_the_trail_shows_ones_own_actions(app, caller, admin):
    image_id = caller.active()
    events = caller.get(f"{ROOT}/audit?target_id={image_id}").json["events"]
    assert [event["action"] for event in events] == ["image_file:upload", "image:create"]
    assert {event["outcome"] for event in events} == {"success"}
    assert Caller(app).get(f"{ROOT}/audit?target_id={image_id}").json["events"] == []
    assert len(admin.get(f"{ROOT}/audit?target_id={image_id}").json["events"]) == 2


def test_the_owner_sees_what_members_do_to_its_image_and_not_the_other_way_round(app, caller):
    image_id = caller.active(visibility="shared")
    member = Caller(app)
    caller.share(image_id, member.project, "accepted")

    def actions(one, **query):
        found = one.get(f"{ROOT}/audit", params={"target_id": image_id, **query})
        return [(event["action"], event["project_id"]) for event in found.json["events"]]

    assert actions(member) == [("member:set_status", member.project)]
    assert actions(caller)[0] == ("member:set_status", member.project)
    assert len(actions(caller)) == 4
    assert actions(caller, project_id=member.project) == actions(member)
    assert actions(member, project_id=caller.project) == []


def test_the_owner_does_not_see_what_others_make_of_its_image(app, caller):
    image_id = caller.active(visibility="shared")
    other = Caller(app)
    caller.share(image_id, other.project, "accepted")
    body = {"image_id": image_id, "name": "plans-of-ours"}
    assert other.request("POST", f"{ROOT}/servers", body).status_code == 202

    def details(one):
        query = {"target_id": image_id, "action": "server:create"}
        (event,) = one.get(f"{ROOT}/audit", params=query).json["events"]
        return event["detail"]

    assert details(other)["name"] == "plans-of-ours"
    assert details(caller) == {}


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"action": "image:create"}, 1),
        ({"user_id": "nobody"}, 0),
        ({"outcome": "success"}, 2),
        ({"outcome": "denied"}, 0),
        ({"since": "2001-01-01T00:00:00"}, 2),
        ({"since": "2999-01-01"}, 0),
        ({"until": "2001-01-01T00:00:00+02:00"}, 0),
    ],
)
def test_the_trail_is_filtered(caller, query, found):
    image_id = caller.active()
    query = {"target_id": image_id, **query}
    assert len(caller.get(f"{ROOT}/audit", params=query).json["events"]) == found


@pytest.mark.parametrize("query", ["outcome=odd", "since=yesterday", "until=", "colour=red"])
def test_wrong_queries_of_the_trail_are_refused(caller, query):
    refused(caller.get(f"{ROOT}/audit?{query}"), 400)


def trail(one, **query):
    """(action, outcome, target, cause) of what one sees, newest first."""
    events = one.get(f"{ROOT}/audit", params=query).json["events"]
    return [
        (event["action"], event["outcome"], event["target_id"], event["detail"].get("cause"))
        for event in events
    ]


def test_denied_readings_are_in_the_trail_of_who_tried(app, caller):
    reader = Caller(app, caller.project, "reader")
    image_id = caller.active()
    path = f"/v2/images/{image_id}/file"
    assert reader.get(path).status_code == 403
    for path_ in ("/backends", "/health"):
        assert caller.get(ROOT + path_).status_code == 403
    assert trail(caller, outcome="denied") == [
        ("health:get", "denied", "-", "Forbidden"),
        ("backend:list", "denied", "-", "Forbidden"),
        ("image_file:download", "denied", image_id, "Forbidden"),
    ]


def test_an_attempt_at_an_image_that_is_not_visible_is_the_callers_alone(app, caller):
    image_id, stranger = caller.active(), Caller(app)
    before = trail(caller)
    assert stranger.get(f"/v2/images/{image_id}/file").status_code == 404
    assert stranger.request("DELETE", f"/v2/images/{image_id}").status_code == 404
    assert stranger.get(f"/v2/images/{image_id}").status_code == 404
    assert trail(stranger) == [
        ("image:delete", "failure", image_id, "ImageNotFound"),
        ("image_file:download", "failure", image_id, "ImageNotFound"),
    ]
    assert trail(caller) == before


def test_failed_uploads_and_limits_are_in_the_trail(caller):
    image_id = caller.create(disk_format="qcow2")["id"]
    assert caller.upload(image_id).status_code == 415
    tags = [f"t{n}" for n in range(200)]
    assert caller.patch(image_id, ("replace", "/tags", tags)).status_code == 413
    assert [event[:2] for event in trail(caller, outcome="failure")] == [
        ("image:update", "failure"), ("image_file:upload", "failure"),
    ]  # fmt: skip


def test_a_disk_is_read_whole_and_in_part(caller):
    data = bytes(range(256)) * 8
    path = f"{ROOT}/images/{caller.active(data)}/disk/0/file"
    whole = caller.get(path)
    assert (whole.status_code, whole.content) == (200, data)
    part = caller.get(path, headers={"Range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, data[10:20])
    assert part.headers["Content-Range"] == f"bytes 10-19/{len(data)}"
    refused(caller.get(path, headers={"Range": f"bytes={len(data)}-"}), 416, "range")


@pytest.mark.parametrize("disk", ["1", "x", "-1", "99999999999"])
def test_a_disk_that_is_not_there_is_404(caller, disk):
    refused(caller.get(f"{ROOT}/images/{caller.active()}/disk/{disk}/file"), 404)


@pytest.fixture
def given(app, service, caller):
    """The URL of an image as a backend gets it for the work of a job, and the id of that."""
    ctx, image_id = _context(caller), caller.active(b"0123456789" * 100)
    job_id = open_job.begin(service, ctx)
    source = service.image_files.image_source(ctx, service.images.get(ctx, image_id), job_id=job_id)
    return ROOT + source.url.partition(ROOT)[2], job_id, image_id


def test_a_signed_url_needs_no_token_and_only_the_right_signature(app, service, caller, given):
    path, job_id, image_id = given
    nobody = Caller(app, token="none")
    assert nobody.get(path).content == b"0123456789" * 100
    part = nobody.get(path, headers={"Range": "bytes=-3"})
    assert (part.status_code, part.content) == (206, b"789")
    refused(nobody.get(path[:-1] + ("0" if path[-1] != "0" else "1")), 403)
    other = open_job.begin(service, _context(caller))
    for wrong in (path.replace(job_id, other), path.replace(f"job={job_id}", "expires=99999999999"),
                  path.replace(f"job={job_id}", ""),
                  f"{ROOT}/signed/{image_id}/0", path.replace(image_id, caller.active())):  # fmt: skip
        refused(nobody.get(wrong), 403)


def test_a_signed_url_opens_until_its_job_has_ended_however_long_that_takes(
    app, service, caller, given, monkeypatch
):
    path, job_id, _ = given
    nobody, now = Caller(app, token="none"), time.time()
    with monkeypatch.context() as patched:
        patched.setattr(time, "time", lambda: now + 30 * 24 * 3600)
        assert nobody.get(path).status_code == 200
    assert caller.request("POST", f"{ROOT}/jobs/{job_id}/cancel").status_code == 202
    assert caller.get(f"{ROOT}/jobs/{job_id}").json["job"]["state"] == "cancelled"
    refused(nobody.get(path), 403)


def test_a_url_of_the_release_before_opens_until_it_expires(app, service, given):
    nobody, path = Caller(app, token="none"), given[0].partition("?")[0]
    image_id, signer = given[2], service.image_files._signer
    for expires, status in ((int(time.time()) + 60, 200), (int(time.time()) - 1, 403)):
        signature = signer._signature((image_id, 0), expires)
        found = nobody.get(f"{path}?expires={expires}&signature={signature}")
        assert found.status_code == status


def test_a_signed_url_ends_with_the_deactivation_of_its_image(app, caller, given):
    path, _, image_id = given
    nobody = Caller(app, token="none")
    caller.request("POST", f"/v2/images/{image_id}/actions/deactivate")
    refused(nobody.get(path), 403, "image-deactivated")
    caller.request("POST", f"/v2/images/{image_id}/actions/reactivate")
    assert nobody.get(path).status_code == 200


def test_a_denied_creation_is_not_in_the_trail_of_the_project_that_it_named(app, caller):
    victim = Caller(app)
    body = {"owner": victim.project}
    assert caller.request("POST", "/v2/images", body).status_code == 403
    assert victim.get(f"{ROOT}/audit").json["events"] == []
    (event,) = caller.get(f"{ROOT}/audit").json["events"]
    assert (event["action"], event["outcome"]) == ("image:create", "denied")


def test_console_text_is_bounded(caller):
    found = caller.request("POST", f"{ROOT}/servers/{UNKNOWN}/console", b"x" * 5000, kind=OCTETS)
    refused(found, 413)


def test_a_capture_of_no_server_is_404_and_of_wrong_fields_400(caller):
    body = {"server_id": UNKNOWN, "name": "x"}
    refused(caller.request("POST", f"{ROOT}/captures", body), 404)
    refused(caller.request("POST", f"{ROOT}/captures", {**body, "visibility": "odd"}), 400)
    refused(caller.request("POST", f"{ROOT}/captures", {**body, "whole": "yes"}), 400)
    both = {**body, "whole": True, "disk_ids": ["disk0"]}
    refused(caller.request("POST", f"{ROOT}/captures", both), 400)


def test_a_rebuild_of_no_server_is_404_and_of_wrong_fields_400(caller):
    body = {"server_ids": [UNKNOWN], "image_id": caller.active()}
    refused(caller.request("POST", f"{ROOT}/rebuilds", body), 404)
    for wrong in ({"server_ids": []}, {"server_ids": [UNKNOWN] * 2}, {"image_id": ""}, {"x": 1}):
        refused(caller.request("POST", f"{ROOT}/rebuilds", body | wrong), 400)


def _context(caller):
    return context.RequestContext("u", caller.project, frozenset({"member"}))
