"""Imports as tasks: who sees them, and what they tell."""

import pytest

from tests.api.caller import OCTETS, Caller


def imported(several, owner, data=b"x" * 1000, **values):
    image_id = owner.create(**values)["id"]
    assert (
        owner.request("PUT", f"/v2/images/{image_id}/stage", data, kind=OCTETS).status_code == 204
    )
    body = {"method": {"name": "glance-direct"}, "stores": ["fast"]}
    assert owner.request("POST", f"/v2/images/{image_id}/import", body).status_code == 202
    return image_id


def test_the_imports_of_an_image_are_told_to_who_sees_it(several):
    owner = Caller(several.app)
    image_id = imported(several, owner)
    path = f"/v2/images/{image_id}/tasks"
    (task,) = owner.get(path).json["tasks"]
    assert (task["status"], task["type"]) == ("pending", "api_image_import")
    assert "expires_at" not in task
    several.work()
    (task,) = owner.get(path).json["tasks"]
    assert (task["status"], task["message"], task["image_id"]) == ("success", "", image_id)
    assert task["result"] == {"image_id": image_id, "failed_stores": []}
    assert task["input"]["backend"] == ["fast"]
    assert "expires_at" in task
    assert image_id not in str(task["input"].get("staged"))
    assert Caller(several.app).get(path).status_code == 404


def test_a_failed_import_says_why(several):
    owner = Caller(several.app)
    image_id = imported(several, owner, b"QFI\xfb\0\0\0\3" + bytes(5000))
    several.work()
    (task,) = owner.get(f"/v2/images/{image_id}/tasks").json["tasks"]
    assert task["status"] == "failure"
    assert "qcow2" in task["message"]


def test_one_task_is_for_administrators(several):
    owner, admin = Caller(several.app), Caller(several.app, None, "admin")
    image_id = imported(several, owner)
    task_id = owner.get(f"/v2/images/{image_id}").json["os_glance_import_task"]
    assert owner.get(f"/v2/tasks/{task_id}").status_code == 403
    assert owner.get("/v2/tasks/absent").status_code == 403
    assert admin.get(f"/v2/tasks/{task_id}").json["id"] == task_id
    assert admin.get("/v2/tasks/absent").status_code == 404
    assert admin.request("DELETE", f"/v2/tasks/{task_id}").status_code == 405
    several.work()


def test_the_list_pages_through_all_imports(several):
    owner, admin = Caller(several.app), Caller(several.app, None, "admin")
    for _ in range(3):
        imported(several, owner)
    several.work()
    imported(several, owner, b"QFI\xfb" + bytes(5000))
    several.work()
    imported(several, owner)
    base = f"/v2/tasks?owner={owner.project}"
    for order in ("", "&sort_key=status&sort_dir=desc", "&sort_key=updated_at&sort_dir=asc"):
        path, seen = f"{base}&limit=2{order}", []
        while path:
            page = admin.get(path).json
            assert page["schema"] == "/v2/schemas/tasks"
            seen += [task["id"] for task in page["tasks"]]
            path = page.get("next")
        assert len(seen) == len(set(seen)) == 5
    newest = admin.get(base).json["tasks"]
    assert [task["status"] for task in newest] == ["pending", "failure", *["success"] * 3]
    assert "input" not in newest[0]
    for status, count in {"pending": 1, "processing": 0, "success": 3, "failure": 1}.items():
        assert len(admin.get(f"{base}&status={status}").json["tasks"]) == count
    assert len(admin.get(f"{base}&type=api_image_import").json["tasks"]) == 5
    assert admin.get(f"{base}&type=import&unknown=x").json["tasks"] == []
    several.work()


@pytest.mark.parametrize(
    "query",
    ["limit=-1", "limit=x", "marker=x", "sort_key=x", "sort_dir=x", "status=x", "type=x"],
)
def test_a_list_that_cannot_be_is_refused(several, query):
    assert Caller(several.app, None, "admin").get(f"/v2/tasks?{query}").status_code == 400
    assert Caller(several.app).get(f"/v2/tasks?{query}").status_code == 403


def test_the_list_of_tasks_has_a_schema_and_takes_no_delete(several):
    admin = Caller(several.app, None, "admin")
    assert admin.request("DELETE", "/v2/tasks").status_code == 405
    assert admin.get("/v2/schemas/tasks").json["name"] == "tasks"
