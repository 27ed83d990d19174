"""Object stores: kept for one project, and their secrets never come out again."""

import uuid

import pytest
import sqlalchemy as sa

from imagesvc.db import schema
from imagesvc.interface.storage import OwnBucket
from tests.api.caller import Caller

ROOT = "/imagesvc/v1/object-stores"
ACCESS, SECRET = "access-key-of-a-customer", "secret-key-of-a-customer/+"
NEW = {
    "name": "mine", "endpoint": "https://s3.example.com", "access_key": ACCESS,
    "secret_key": SECRET, "buckets": ["images"],
}  # fmt: skip


@pytest.fixture
def caller(each_app):
    """A member of a project of its own."""
    return Caller(each_app)


def made(caller, **values):
    """Keep one; its JSON."""
    found = caller.request("POST", ROOT, NEW | values)
    assert found.status_code == 201, found.text
    return found.json["object_store"]


def refused(found, status, reason):
    """An error of our own form."""
    assert (found.status_code, found.json["error"]["reason"]) == (status, reason), found.text


def everything(service):
    """All that the database holds, as text."""
    with service.database.read() as conn:
        return "\n".join(
            repr(row)
            for table in schema.METADATA.sorted_tables
            for row in conn.execute(sa.select(table))
        )


def test_one_is_kept_shown_changed_and_forgotten(caller):
    store = made(caller)
    assert store == {
        "id": store["id"], "name": "mine", "endpoint": "https://s3.example.com",
        "region": "us-east-1", "buckets": ["images"], "access_key": ACCESS,
        "created_at": store["created_at"], "updated_at": store["updated_at"],
    }  # fmt: skip
    path = f"{ROOT}/{store['id']}"
    assert caller.get(path).json["object_store"] == store
    change = {"name": "ours", "buckets": [], "region": "eu-1", "access_key": "a", "secret_key": "b"}
    changed = caller.request("PATCH", path, change).json["object_store"]
    assert (changed["name"], changed["buckets"], changed["access_key"]) == ("ours", [], "a")
    assert caller.get(path).json["object_store"] == changed
    assert caller.request("DELETE", path).status_code == 204
    refused(caller.get(path), 404, "object-store-not-found")
    refused(caller.request("DELETE", path), 404, "object-store-not-found")


def test_they_are_listed_by_name_page_by_page(caller):
    for name in ("b", "c", "a"):
        made(caller, name=name)
    first = caller.get(ROOT, query_string="limit=2").json
    assert [one["name"] for one in first["object_stores"]] == ["a", "b"]
    rest = caller.get(ROOT, query_string=f"limit=2&marker={first['next']}").json
    assert ([one["name"] for one in rest["object_stores"]], rest["next"]) == (["c"], None)


def test_another_project_finds_nothing(caller, each_app):
    path = f"{ROOT}/{made(caller)['id']}"
    for other in (Caller(each_app), Caller(each_app, None, "admin", "member")):
        refused(other.get(path), 404, "object-store-not-found")
        refused(other.request("PATCH", path, {"name": "x"}), 404, "object-store-not-found")
        refused(other.request("DELETE", path), 404, "object-store-not-found")
        assert other.get(ROOT).json["object_stores"] == []
    assert caller.get(path).status_code == 200


def test_a_reader_sees_and_changes_nothing(caller, each_app):
    path = f"{ROOT}/{made(caller)['id']}"
    reader = Caller(each_app, caller.project, "reader")
    assert reader.get(path).status_code == 200
    refused(reader.request("POST", ROOT, NEW | {"name": "x"}), 403, "forbidden")
    refused(reader.request("PATCH", path, {"name": "x"}), 403, "forbidden")
    refused(reader.request("DELETE", path), 403, "forbidden")


def test_the_secret_is_nowhere_in_the_clear(caller, each_service, caplog):
    caplog.set_level("DEBUG")
    secret = f"secret-{uuid.uuid4().hex}"
    store = made(caller, secret_key=secret)
    again = f"again-{uuid.uuid4().hex}"
    path = f"{ROOT}/{store['id']}"
    keys = {"access_key": "other", "secret_key": again}
    assert caller.request("PATCH", path, keys).status_code == 200
    caller.request("POST", ROOT, NEW | {"secret_key": secret})
    caller.request("POST", ROOT, NEW | {"secret_key": secret, "endpoint": "http://127.0.0.1"})
    seen = everything(each_service) + caplog.text
    seen += caller.get(path).text + caller.get("/imagesvc/v1/audit").text
    assert store["id"] in seen
    assert secret not in seen
    assert again not in seen


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://127.0.0.1", "http://169.254.169.254", "http://[::1]", "http://10.1.2.3",
        "http://2130706433", "ftp://s3.example.com", "https://s3.example.com/folder",
        "https://s3.example.com?x=y", "https://user@s3.example.com", "https://s3.example.com:22",
        "s3.example.com", "http://localhost",
    ],
)  # fmt: skip
def test_an_endpoint_that_may_not_be_asked_is_refused(caller, endpoint):
    refused(caller.request("POST", ROOT, NEW | {"endpoint": endpoint}), 400, "url-refused")
    assert caller.get(ROOT).json["object_stores"] == []


@pytest.mark.parametrize(
    "values",
    [
        {"buckets": ["Capital"]}, {"buckets": ["a..b"]}, {"buckets": ["../other"]},
        {"access_key": "two words"}, {"secret_key": ""}, {"region": "no region"}, {"colour": "red"},
        {"name": ""},
    ],
)  # fmt: skip
def test_what_is_no_value_is_refused(caller, values):
    found = caller.request("POST", ROOT, NEW | values)
    assert found.status_code == 400
    assert found.json["error"]["reason"] in ("malformed", "invalid-request")


def test_a_name_is_taken_once_a_project(caller, each_app):
    made(caller)
    refused(caller.request("POST", ROOT, NEW), 409, "conflict")
    other = made(caller, name="other")
    found = caller.request("PATCH", f"{ROOT}/{other['id']}", {"name": "mine"})
    refused(found, 409, "conflict")
    made(Caller(each_app))


def test_half_a_key_is_refused(caller):
    path = f"{ROOT}/{made(caller)['id']}"
    refused(caller.request("PATCH", path, {"access_key": "x"}), 400, "invalid-request")
    refused(caller.request("PATCH", path, {"secret_key": "x"}), 400, "invalid-request")
    refused(caller.request("PATCH", path, {"endpoint": "https://x.org"}), 400, "malformed")


def test_the_services_own_key_is_refused(caller, each_service, monkeypatch):
    storage = each_service.backends.storage()
    own = OwnBucket(("https://s3.service.example.com",), "images", ACCESS)
    monkeypatch.setattr(storage, "own_bucket", lambda: own)
    refused(caller.request("POST", ROOT, NEW), 400, "invalid-request")
    path = f"{ROOT}/{made(caller, access_key='mine')['id']}"
    keys = {"access_key": ACCESS, "secret_key": "x"}
    refused(caller.request("PATCH", path, keys), 400, "invalid-request")
