"""Backups through the WSGI app, their jobs worked on in this process, their servers on paper."""

import contextlib
import hashlib
from urllib.parse import urlsplit

import pytest

from imagesvc import service as services
from imagesvc.api import app as door
from imagesvc.backend.registry import Backends
from imagesvc.context import RequestContext
from imagesvc.worker import runner
from tests import open_job
from tests.api.caller import Caller
from tests.api.conftest import configure, working
from tests.unit.worker.paper_compute import DATA, DISK, PaperCompute

ROOT = "/imagesvc/v1"
UNKNOWN = "00000000-0000-4000-8000-000000000000"


@pytest.fixture(scope="module")
def compute():
    """Servers on paper."""
    return PaperCompute()


@pytest.fixture(scope="module")
def service(tmp_path_factory, compute):
    """A service of its own, since its jobs are worked on here."""

    class PaperBackends(Backends):
        def compute(self, backend_id=None):
            return compute

    conf = configure(tmp_path_factory.mktemp("backup"))
    with contextlib.ExitStack() as stack:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(services, "Backends", PaperBackends)
            made = stack.enter_context(working(conf))
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
def server(compute, caller):
    """A server of the caller's."""
    server_id = f"server-{caller.project}"
    compute.servers[server_id] = caller.project
    return server_id


@pytest.fixture
def ended(service, caller):
    """Work until the job of an answer ends, give it."""

    def go(answer):
        assert answer.status_code == 202, answer.text
        job = answer.json["job"]
        worker = runner.Runner(service, "here", pause_max_s=0)
        while job["finished_at"] is None:
            worker.run_once()
            job = caller.get(f"{ROOT}/jobs/{job['id']}").json["job"]
        return job

    return go


@pytest.fixture
def backup(caller, server, ended):
    """The id of a backup of the server."""
    job = ended(create(caller, server))
    assert (job["type"], job["state"]) == ("create-backup", "done"), job["cause"]
    return job["result"]["backup_id"]


def create(caller, server, **more):
    return caller.request("POST", f"{ROOT}/backups", {"name": "b", "server_id": server, **more})


def restore(caller, backup, **more):
    return caller.request("POST", f"{ROOT}/backups/{backup}/restore", {"name": "again", **more})


def capture(caller, backup, **more):
    return caller.request("POST", f"{ROOT}/captures", {"name": "i", "backup_id": backup, **more})


def delete(caller, backup):
    return caller.request("DELETE", f"{ROOT}/backups/{backup}")


def refused(found, status, reason):
    assert (found.status_code, found.json["error"]["reason"]) == (status, reason), found.text


def test_backups_are_made_listed_shown_and_deleted(caller, server, backup, ended):
    shown = caller.get(f"{ROOT}/backups/{backup}").json["backup"]
    assert (shown["name"], shown["server_id"]) == ("b", server)
    assert shown["size_bytes"] == len(DISK) + len(DATA)
    assert [(disk["id"], disk["boot"]) for disk in shown["disks"]] == [
        ("vda", True),
        ("vdb", False),
    ]
    assert shown["disks"][1]["digest"] == hashlib.sha512(DATA).hexdigest()
    other = ended(create(caller, server))["result"]["backup_id"]
    listed = caller.get(f"{ROOT}/backups").json["backups"]
    assert [one["id"] for one in listed] == sorted([backup, other])
    page = caller.get(f"{ROOT}/backups?limit=1").json
    rest = caller.get(f"{ROOT}/backups?marker={page['next']}").json
    assert page["backups"] + rest["backups"] == listed
    assert ended(delete(caller, backup))["type"] == "delete-backup"
    assert [one["id"] for one in caller.get(f"{ROOT}/backups").json["backups"]] == [other]
    refused(caller.get(f"{ROOT}/backups/{backup}"), 404, "backup-not-found")


def test_a_server_and_an_image_come_of_a_backup_whose_server_is_gone(
    caller, compute, server, backup, ended
):
    del compute.servers[server]
    job = ended(restore(caller, backup, memory_mib=32))
    (told,) = job["result"]["servers"]
    assert (job["type"], compute.servers[told["server_id"]]) == ("restore-backup", caller.project)
    answer = capture(caller, backup, visibility="private", tags=["t"])
    image_id, job = answer.json["image_id"], ended(answer)
    assert (job["type"], job["state"], job["image_id"]) == ("capture-backup", "done", image_id)
    for number, wanted in enumerate((DISK, DATA)):
        found = caller.get(f"{ROOT}/images/{image_id}/disk/{number}/file")
        assert found.content == wanted


def test_a_key_gives_the_same_job(caller, server, backup, ended):
    for body, path in (
        ({"name": "b", "server_id": server}, "/backups"),
        ({"name": "s"}, f"/backups/{backup}/restore"),
        ({"name": "i", "backup_id": backup}, "/captures"),
    ):
        headers = {"Idempotency-Key": f"{path} {caller.project}"}
        one, two = (caller.request("POST", ROOT + path, body, headers=headers) for _ in range(2))
        assert one.json["job"]["id"] == two.json["job"]["id"]
        ended(one)


def test_a_backup_in_use_is_not_deleted(caller, backup, ended):
    answer = restore(caller, backup)
    refused(delete(caller, backup), 409, "backup-in-use")
    ended(answer)
    answer = delete(caller, backup)
    assert delete(caller, backup).json["job"]["id"] == answer.json["job"]["id"]
    refused(restore(caller, backup), 409, "backup-in-use")
    refused(capture(caller, backup), 409, "backup-in-use")
    ended(answer)


ASKED = {
    "list": (lambda caller, server, backup: caller.get(f"{ROOT}/backups"), 200),
    "get": (lambda caller, server, backup: caller.get(f"{ROOT}/backups/{backup}"), 200),
    "create": (lambda caller, server, backup: create(caller, server), 202),
    "restore": (lambda caller, server, backup: restore(caller, backup), 202),
    "capture": (lambda caller, server, backup: capture(caller, backup), 202),
    "delete": (lambda caller, server, backup: delete(caller, backup), 202),
}


@pytest.mark.parametrize("action", ASKED)
@pytest.mark.parametrize("who", ["reader", "member", "admin", "foreign", "foreign-admin"])
def test_a_caller_does_what_the_role_allows_and_another_project_sees_nothing(
    app, service, caller, server, backup, who, action
):
    ask, done = ASKED[action]
    role = who.rpartition("-")[2] if who != "foreign" else "member"
    project = None if who.startswith("foreign") else caller.project
    found = ask(Caller(app, project, role), server, backup)
    if who.startswith("foreign") and action != "list":
        expected = 404
    else:
        expected = 403 if who == "reader" and action not in ("list", "get") else done
    assert found.status_code == expected, found.text
    if who.startswith("foreign") and action == "list":
        assert found.json["backups"] == []
    job = found.json.get("job")
    if job:
        caller.request("POST", f"{ROOT}/jobs/{job['id']}/cancel")


@pytest.mark.parametrize("action", ASKED)
def test_nobody_does_anything_without_a_token(app, server, backup, action):
    assert ASKED[action][0](Caller(app, token="none"), server, backup).status_code == 401


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"name": "b"}, 400),
        ({"name": "", "server_id": "x"}, 400),
        ({"name": "b", "server_id": "x", "disks": []}, 400),
        ({"name": "b", "server_id": UNKNOWN}, 404),
        ({"name": "b", "server_id": UNKNOWN, "backend_id": "none"}, 404),
    ],
)
def test_a_wrong_creation_is_refused(caller, body, status):
    assert caller.request("POST", f"{ROOT}/backups", body).status_code == status


def test_an_unknown_backup_is_not_found(caller):
    for ask, _ in (ASKED[name] for name in ("get", "restore", "capture", "delete")):
        refused(ask(caller, None, UNKNOWN), 404, "backup-not-found")


def test_what_belongs_to_servers_does_not_go_with_a_backup(caller, backup):
    for more in ({"whole": True}, {"kind": "data-disk"}, {"server_id": "x"}, {"quiesce": True}):
        refused(capture(caller, backup, **more), 400, "invalid-request")


def test_every_action_is_in_the_audit_trail(caller, server, backup, ended):
    ended(restore(caller, backup))
    ended(capture(caller, backup))
    ended(delete(caller, backup))
    events = caller.get(f"{ROOT}/audit?limit=100").json["events"]
    found = {(event["action"], event["target_id"]) for event in events}
    assert found >= {
        ("backup:create", server),
        ("backup:restore", backup),
        ("capture:create", backup),
        ("backup:delete", backup),
    }
    refused(Caller(caller.client.app).get(f"{ROOT}/backups/{server}"), 404, "backup-not-found")


@pytest.fixture
def signed(service, caller, backup):
    """The URLs of the disks, as a compute backend gets them."""
    found = service.backends.backup().get_backup(backup, project_id=caller.project)
    ctx = RequestContext("u", caller.project, frozenset({"member"}))
    job_id = open_job.begin(service, ctx)
    urls = [source.url for source in service.backup_files.sources("local", found, job_id)]
    return [f"{urlsplit(url).path}?{urlsplit(url).query}" for url in urls]


def test_a_signed_url_reads_a_disk_without_a_token(app, signed):
    anonymous = Caller(app, token="none")
    assert [anonymous.get(url).content for url in signed] == [DISK, DATA]
    part = anonymous.get(signed[1], headers={"Range": "bytes=1000-1999"})
    assert (part.status_code, part.content) == (206, DATA[1000:2000])
    head = anonymous.request("HEAD", signed[0])
    assert int(head.headers["Content-Length"]) == len(DISK)


def test_a_url_that_was_not_signed_so_reads_nothing(app, caller, signed, ended, backup):
    anonymous = Caller(app, token="none")
    path, _, query = signed[0].partition("?")
    wrong = (
        signed[1].partition("?")[0] + "?" + query,
        f"{path}?{query.replace(caller.project, 'other')}",
        f"{path}?{query}0",
        path,
        signed[0]
        .replace("signed-backups", "signed")
        .replace("backend_id=local&", "")
        .replace(f"project_id={caller.project}&", ""),
    )
    for url in wrong:
        assert anonymous.get(url).status_code == 403, url
    assert anonymous.get(f"{path}x?{query}").status_code == 404
    ended(delete(caller, backup))
    refused(anonymous.get(signed[0]), 404, "backup-not-found")
