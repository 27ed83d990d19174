"""The catalog through the WSGI app."""

from pathlib import Path

import pytest

from imagesvc.worker import runner
from tests.api.caller import Caller
from tests.catalog_folder import Folder

ROOT = "/imagesvc/v1/catalog"


@pytest.fixture
def folder(service):
    """A folder of families of this test alone; none is left of it."""
    made = Folder(Path(service.conf.catalog.directory))
    made.path.mkdir(parents=True, exist_ok=True)
    yield made
    for one in sorted(made.path.rglob("*"), reverse=True):
        one.unlink() if one.is_file() else one.rmdir()


@pytest.fixture
def admin(app):
    """An administrator."""
    return Caller(app, None, "admin", "member", "reader")


@pytest.fixture
def post(service, admin):
    """POST, and work until its jobs ended; the jobs."""

    def go(path, body):
        found = admin.request("POST", f"{ROOT}{path}", body)
        assert found.status_code == 202, found.text
        worker = runner.Runner(service, "here", pause_max_s=0)
        while worker.run_once():
            pass
        paths = [f"/imagesvc/v1/jobs/{one['id']}" for one in found.json["jobs"]]
        return [admin.get(path).json["job"] for path in paths]

    return go


def test_a_family_is_planned_synced_shown_and_rolled_back(folder, admin, post, app):
    folder.put("alpha", "1")
    plan = admin.get(f"{ROOT}/families/alpha/plan").json["plan"]
    (job,) = post("/sync", {"families": ["alpha"]})
    assert (job["state"], job["result"]["steps"]) == ("done", plan["steps"])
    folder.put("alpha", "2")
    (second,) = post("/sync", {})
    detail = admin.get(f"{ROOT}/families/alpha").json["family"]
    assert (detail["build"], detail["trust"], detail["overdue"]) == ("2", "local", None)
    assert [(one["build"], one["current"]) for one in detail["releases"]] == [
        ("2", True), ("1", False)
    ]  # fmt: skip
    reader = Caller(app, None, "reader")
    shown = reader.get(f"/imagesvc/v1/images/{second['image_id']}").json["image"]
    assert shown["provenance"]["url"] == "folder:alpha/2/disk.raw"
    assert shown["provenance"]["digest_algorithm"] == "sha256"
    back = admin.request("POST", f"{ROOT}/families/alpha/rollback").json["family"]
    assert back["image_id"] == job["image_id"]
    assert admin.request("POST", f"{ROOT}/families/alpha/rollback").status_code == 409
    (verified,) = post("/verify", {"image_ids": [job["image_id"]]})
    assert verified["state"] == "done"
    lock = admin.get(f"{ROOT}/lock").json
    assert lock["families"]["alpha"]["build"] == "1"
    (same,) = post("/sync", {"lock": lock})
    assert same["result"]["is_new"] is False
    pruning = admin.get(f"{ROOT}/prune").json
    assert [one["steps"] for one in pruning["plans"]] == [[]]
    assert "one of the last 3" in pruning["kept"][0]["reason"]
    assert admin.request("POST", f"{ROOT}/prune", {}).json == pruning
    audit = admin.get("/imagesvc/v1/audit", params={"action": "catalog:publish"}).json
    assert {one["target_id"] for one in audit["events"]} == {job["image_id"], second["image_id"]}


def test_an_entry_with_an_unknown_key_is_told_and_breaks_nothing_else(folder, admin, post):
    folder.put("alpha", "1")
    folder.put("beta", "1")
    post("/sync", {})
    entry = folder.path / "alpha" / "family.yaml"
    entry.write_text(entry.read_text() + "colour: red\n")
    folder.put("beta", "2")
    found = {one["id"]: one for one in admin.get(f"{ROOT}/families").json["families"]}
    assert "unknown field `colour`" in found["alpha"]["off"]
    assert (found["alpha"]["enabled"], found["beta"]["off"]) == (False, None)
    warnings = admin.get("/imagesvc/v1/health").json["warnings"]
    assert "unknown field `colour`" in warnings[0]
    (job,) = post("/sync", {})
    assert (job["state"], job["result"]["build"]) == ("done", "2")
    (job,) = post("/sync", {"families": ["alpha"]})
    assert (job["state"], "unknown field `colour`" in job["cause"]) == ("failed", True)
    refused = admin.request("POST", f"{ROOT}/families/alpha/rollback")
    assert (refused.status_code, "colour" in refused.json["error"]["message"]) == (409, True)


def test_everybody_may_ask_for_the_systems_of_the_catalog(app):
    found = Caller(app, None, "reader").get(f"{ROOT}/os-versions").json["os_versions"]
    (debian,) = [one for one in found if one["version"] == "Debian 13 64bit"]
    assert debian == {
        "os_type": "Linux",
        "platform": "Debian",
        "version": "Debian 13 64bit",
        "bits": 64,
        "architectures": ["aarch64", "x86_64"],
    }
    keys = [(one["os_type"], one["platform"], one["version"]) for one in found]
    assert keys == sorted(set(keys))


def test_what_is_unknown_is_told(folder, admin):
    folder.put("alpha", "1")
    for method, path, body in (
        ("GET", "/families/beta", None),
        ("GET", "/families/beta/plan", None),
        ("POST", "/families/beta/rollback", None),
        ("POST", "/sync", {"families": ["beta"]}),
        ("POST", "/prune", {"families": ["beta"]}),
        ("POST", "/verify", {"image_ids": ["no-image"]}),
    ):
        assert admin.request(method, f"{ROOT}{path}", body).status_code == 404
    assert admin.request("POST", f"{ROOT}/sync", {"families": 1}).status_code == 400


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/families", None),
        ("GET", "/families/alpha", None),
        ("GET", "/families/alpha/plan", None),
        ("GET", "/lock", None),
        ("GET", "/prune", None),
        ("POST", "/sync", {}),
        ("POST", "/verify", {}),
        ("POST", "/prune", {}),
        ("POST", "/families/alpha/rollback", None),
    ],
)
def test_nobody_but_administrators_gets_in(app, folder, method, path, body):
    folder.put("alpha", "1")
    caller = Caller(app, None, "member", "reader")
    assert caller.request(method, f"{ROOT}{path}", body).status_code == 403
