"""Tasks that are made: an import that makes its image, for administrators."""

import uuid

import pytest

from tests.api.caller import Caller
from tests.api.glance.conftest import DATA, Several
from tests.web_server import answer


@pytest.fixture
def admin(site):
    return Caller(site.several.app, None, "admin")


def task(site, **values):
    """The body of a good task, and what is to be different in its input."""
    return {
        "type": "import",
        "input": {
            "import_from": site.web.url(), "import_from_format": "raw",
            "image_properties": {"name": "made", "hw_x": "y", "tags": ["t"]}, **values,
        },
    }  # fmt: skip


def test_a_task_makes_an_image_from_a_url(site, admin):
    body = task(site)
    found = admin.request("POST", "/v2/tasks", body)
    assert found.status_code == 201, found.text
    made = found.json
    assert found.headers["Location"].endswith(f"/v2/tasks/{made['id']}")
    assert (made["type"], made["status"], made["input"]) == ("import", "pending", body["input"])
    assert made["owner"] == admin.project
    image_id = made["image_id"]
    assert admin.get(f"/v2/images/{image_id}").json["status"] == "importing"
    site.several.work()
    done = admin.get(f"/v2/tasks/{made['id']}").json
    assert (done["status"], done["result"]["image_id"]) == ("success", image_id)
    image = admin.get(f"/v2/images/{image_id}").json
    assert (image["status"], image["size"], image["name"], image["owner"]) == (
        "active", len(DATA), "made", admin.project,
    )  # fmt: skip
    assert (image["container_format"], image["hw_x"], image["tags"]) == ("bare", "y", ["t"])
    assert admin.get(f"/v2/images/{image_id}/file").content == DATA
    for kind, count in (("import", 1), ("api_image_import", 0), ("location_import", 0)):
        assert len(admin.get(f"/v2/tasks?type={kind}").json["tasks"]) == count


def test_a_task_that_fails_leaves_its_image_queued(site, admin, answers):
    answers[0] = answer(status="404 Not Found")
    made = admin.request("POST", "/v2/tasks", task(site)).json
    site.several.work()
    done = admin.get(f"/v2/tasks/{made['id']}").json
    assert (done["status"], bool(done["message"])) == ("failure", True)
    assert admin.get(f"/v2/images/{made['image_id']}").json["status"] == "queued"


@pytest.mark.parametrize("role", ["member", "manager", "reader", "service"])
def test_nobody_but_an_administrator_makes_tasks(site, role):
    caller = Caller(site.several.app, site.owner.project, role)
    for body in (task(site), {}, []):
        assert caller.request("POST", "/v2/tasks", body).status_code == 403
    assert caller.listed() == []


def test_whoever_may_make_tasks_need_not_see_those_of_others(site):
    (site.several.folder / "policy.yaml").write_text('"task:create": "role:member"\n')
    made = site.owner.request("POST", "/v2/tasks", task(site))
    assert made.status_code == 201, made.text
    assert site.done(made.json["image_id"])["status"] == "active"
    assert site.owner.get("/v2/tasks").status_code == 403


@pytest.mark.parametrize(
    "body",
    [
        {}, [], {"type": "import"}, {"input": {}}, {"type": "import", "input": []},
        {"type": "import", "input": {}}, {"type": 1, "input": {}},
        {"type": "api_image_import", "input": {}}, {"type": "location_import", "input": {}},
        {"type": "export", "input": {}}, {"status": "success"}, {"more": 1},
        {"import_from": "file:///etc/passwd"}, {"import_from": "http://169.254.169.254/"},
        {"import_from": "filesystem:///x"}, {"import_from": ""}, {"import_from": None},
        {"import_from_format": "exe"}, {"import_from_format": None}, {"image_properties": None},
        {"image_properties": {"id": "x"}}, {"image_properties": {"disk_format": "qcow2"}},
        {"image_properties": {"a": 1}}, {"more_input": 1},
    ],
    ids=str,
)  # fmt: skip
def test_what_is_no_task_is_refused_and_makes_no_image(site, admin, body):
    if isinstance(body, dict) and "type" not in body and "input" not in body and body:
        beside = {name: body[name] for name in ("status", "more") if name in body}
        body = {**task(site, **({} if beside else body)), **beside}
    found = admin.request("POST", "/v2/tasks", body)
    assert found.status_code == 400, found.text
    assert admin.listed() == []
    assert site.web.requests == []


def test_what_only_the_service_writes_is_forbidden_in_a_task_too(site, admin):
    for name in ("status", "checksum", "locations", "os_glance_x", "deleted"):
        body = task(site, image_properties={name: "x"})
        assert admin.request("POST", "/v2/tasks", body).status_code == 403
    taken = {"id": str(uuid.uuid4())}
    assert admin.request("POST", "/v2/tasks", task(site, image_properties=taken)).status_code == 201
    assert admin.request("POST", "/v2/tasks", task(site, image_properties=taken)).status_code == 409


def test_no_task_is_made_where_the_service_fetches_nothing(tmp_path):
    more = "[import]\nmethods = glance-direct\n"
    closed = Several(tmp_path, f"sqlite:///{tmp_path}/imagesvc.sqlite", more)
    given = {"import_from": "http://192.0.2.1/x", "import_from_format": "raw"}
    body = {"type": "import", "input": {**given, "image_properties": {}}}
    found = Caller(closed.app, None, "admin").request("POST", "/v2/tasks", body)
    assert (found.status_code, "web-download" in found.text) == (400, True)
    closed.close()
