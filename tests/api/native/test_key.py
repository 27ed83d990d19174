"""Keys of a project in the KMS, by our own API."""

import pytest

from imagesvc.worker.step import rewrap_keys
from tests.api.caller import Caller
from tests.api.native.tus import work

ROOT = "/imagesvc/v1/key"


@pytest.fixture
def caller(each_app):
    """A member of a project of its own."""
    return Caller(each_app)


@pytest.fixture(autouse=True)
def _all_jobs_end(each_service, monkeypatch):
    """A rotation of another test would wait in those that look for work."""
    yield
    monkeypatch.setattr(rewrap_keys, "_left_s", lambda ctx: 0.0)
    work(each_service)


def made(caller, name="mine", **headers):
    """Make a key; its JSON."""
    found = caller.request("POST", ROOT, {"name": name}, headers=headers)
    assert found.status_code == 201, found.text
    return found.json["key"]


def refused(found, status, reason):
    """An error of our own form."""
    assert (found.status_code, found.json["error"]["reason"]) == (status, reason), found.text


def test_a_key_is_made_shown_and_listed(caller):
    assert caller.get(ROOT).json == {"keys": []}
    key = made(caller)
    assert key == {
        "id": key["id"], "name": "mine", "backend_id": "local", "project_id": caller.project,
        "state": "enabled", "version": 1, "algorithm": "AES-256-GCM", "default": False,
        "created_at": key["created_at"],
    }  # fmt: skip
    assert caller.get(f"{ROOT}/{key['id']}").json == {"key": key}
    assert caller.get(ROOT, query_string="backend_id=local").json == {"keys": [key]}
    refused(caller.get(ROOT, query_string="backend_id=none"), 404, "backend-not-found")


def test_a_repeated_submission_gives_the_first_key(caller, each_app):
    first, second = (made(caller, **{"Idempotency-Key": "again"}) for _ in range(2))
    assert first == second
    assert made(Caller(each_app), **{"Idempotency-Key": "again"})["id"] != first["id"]


def test_another_project_finds_nothing(caller, each_app):
    path = f"{ROOT}/{made(caller)['id']}"
    for other in (Caller(each_app), Caller(each_app, None, "admin", "member")):
        assert other.get(ROOT).json == {"keys": []}
        refused(other.get(path), 404, "key-not-found")
        for change in ({"enabled": False}, {"default": True}):
            refused(other.request("PATCH", path, change), 404, "key-not-found")
        refused(other.request("POST", f"{path}/rotate"), 404, "key-not-found")


def test_a_reader_only_looks(caller, each_app):
    path = f"{ROOT}/{made(caller)['id']}"
    reader = Caller(each_app, caller.project, "reader")
    assert reader.get(path).status_code == 200
    for found in (
        reader.request("POST", ROOT, {"name": "x"}),
        reader.request("PATCH", path, {"enabled": False}),
        reader.request("PATCH", path, {"default": True}),
        reader.request("POST", f"{path}/rotate"),
    ):
        refused(found, 403, "forbidden")


def test_one_key_is_the_default_of_the_project(caller):
    first, second = made(caller, "one"), made(caller, "two")
    for one in (first, second):
        found = caller.request("PATCH", f"{ROOT}/{one['id']}", {"default": True})
        assert found.json["key"]["default"] is True
    listed = {one["id"]: one["default"] for one in caller.get(ROOT).json["keys"]}
    assert listed == {first["id"]: False, second["id"]: True}


def test_a_disabled_key_is_no_default(caller):
    path = f"{ROOT}/{made(caller)['id']}"
    assert caller.request("PATCH", path, {"enabled": False}).json["key"]["state"] == "disabled"
    refused(caller.request("PATCH", path, {"default": True}), 409, "key-unavailable")
    assert caller.request("PATCH", path, {"enabled": True}).json["key"]["state"] == "enabled"


@pytest.mark.parametrize(
    "change",
    [{}, {"enabled": True, "default": True}, {"default": False}, {"enabled": "no"}, {"name": "x"}],
)
def test_another_change_is_refused(caller, change):
    found = caller.request("PATCH", f"{ROOT}/{made(caller)['id']}", change)
    assert found.status_code == 400, found.text


def test_what_is_done_with_keys_is_recorded_for_the_project(caller):
    key = made(caller)
    path = f"{ROOT}/{key['id']}"
    caller.request("PATCH", path, {"enabled": False})
    caller.request("PATCH", path, {"enabled": True})
    caller.request("PATCH", path, {"default": True})
    caller.request("POST", f"{path}/rotate")
    found = caller.get("/imagesvc/v1/audit").json["events"]
    actions = {one["action"] for one in found if one["target_id"] == key["id"]}
    assert actions == {
        "key:create", "key:disable", "key:enable", "key:set_default", "key:rotate", "key:rewrap",
    }  # fmt: skip


def test_a_project_has_no_more_keys_than_the_operator_allows(caller, each_service):
    each_service.keys._keys_max = 2
    try:
        made(caller), made(caller)
        refused(caller.request("POST", ROOT, {"name": "third"}), 413, "too-large")
    finally:
        each_service.keys._keys_max = -1


def test_the_trail_knows_of_a_change_before_the_kms_does_it(caller, each_service, monkeypatch):
    key = made(caller)
    driver = each_service.backends.encryption()

    def killed(key_id, *, enabled):
        events = caller.get("/imagesvc/v1/audit").json["events"]
        assert next(one["action"] for one in events if one["target_id"] == key_id) == "key:disable"
        raise SystemExit

    monkeypatch.setattr(driver, "set_key_enabled", killed)
    with pytest.raises(SystemExit):
        caller.request("PATCH", f"{ROOT}/{key['id']}", {"enabled": False})
