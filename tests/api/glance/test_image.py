"""Images: create, show, patch, delete."""

import uuid

import pytest

from tests.api.caller import Caller


@pytest.fixture
def owner(app):
    return Caller(app)


def test_a_new_image_is_queued_and_shared(owner):
    found = owner.request("POST", "/v2/images", {})
    image = found.json
    assert found.status_code == 201
    assert found.headers["Location"].endswith(f"/v2/images/{image['id']}")
    assert (image["status"], image["visibility"]) == ("queued", "shared")
    assert (image["owner"], image["size"], image["checksum"]) == (owner.project, None, None)
    assert (image["min_ram"], image["protected"], image["tags"]) == (0, False, [])


def test_what_was_created_is_shown(owner):
    image = owner.create(
        name="n", min_ram=5, tags=["b", "a"], **{"owner_specified.x.y": "", "hw_a": "1"}
    )
    shown = owner.get(f"/v2/images/{image['id']}").json
    assert shown == image
    assert sorted(shown["tags"]) == ["a", "b"]
    assert (shown["owner_specified.x.y"], shown["hw_a"]) == ("", "1")


def test_an_id_can_be_chosen_once(owner):
    image_id = str(uuid.uuid4())
    assert owner.create(id=image_id)["id"] == image_id
    assert owner.request("POST", "/v2/images", {"id": image_id}).status_code == 409
    assert owner.request("DELETE", f"/v2/images/{image_id}").status_code == 204
    assert owner.request("POST", "/v2/images", {"id": image_id}).status_code == 409


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"status": "active"}, 403),
        ({"locations": []}, 403),
        ({"os_hash_value": "x"}, 403),
        ({"os_glance_x": "x"}, 403),
        ({"deleted": "x"}, 403),
        ({"owner": "somebody"}, 403),
        ({"visibility": "public"}, 403),
        ({"name": 1}, 400),
        ({"x": 1}, 400),
        ({"disk_format": "exe"}, 400),
        ({"id": "x"}, 400),
        ({f"p{n}": "x" for n in range(129)}, 413),
        ({"tags": [f"t{n}" for n in range(129)]}, 413),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_create_that_is_refused_leaves_nothing(owner, body, status):
    assert owner.request("POST", "/v2/images", body).status_code == status
    assert owner.listed(f"owner={owner.project}") == []


def test_the_limits_themselves_pass(owner):
    body = {f"p{n}": "x" for n in range(128)} | {"tags": [f"t{n}" for n in range(128)]}
    assert owner.request("POST", "/v2/images", body).status_code == 201


def test_an_administrator_creates_for_another_project(app):
    assert Caller(app, None, "admin").create(owner="elsewhere")["owner"] == "elsewhere"


@pytest.mark.parametrize("image_id", ["x", "0d9a1c9e-2f6b-4c54-9f0e-5b1d9a3c7e21", "a b", "%C3%A9"])
def test_an_unknown_image_is_404(owner, image_id):
    assert owner.get(f"/v2/images/{image_id}").status_code == 404


@pytest.mark.parametrize("kind", ["v2.0", "v2.1"])
def test_a_patch_changes_all_or_nothing(owner, kind):
    image_id = owner.create(name="before", a="1")["id"]
    media = f"application/openstack-images-{kind}-json-patch"

    def send(*operations):
        if kind == "v2.1":
            return owner.patch(image_id, *operations)
        document = [{op: path, **({"value": v[0]} if v else {})} for op, path, *v in operations]
        return owner.request("PATCH", f"/v2/images/{image_id}", document, kind=media)

    found = send(("replace", "/name", "after"), ("add", "/b", "2"), ("remove", "/a"))
    assert (found.status_code, found.json["name"], found.json["b"]) == (200, "after", "2")
    assert "a" not in found.json
    assert send(("replace", "/name", "lost"), ("remove", "/missing")).status_code == 409
    assert owner.get(f"/v2/images/{image_id}").json["name"] == "after"
    assert send(("add", "/b", "3")).status_code == (409 if kind == "v2.0" else 200)


@pytest.mark.parametrize(
    ("operation", "status"),
    [
        (("replace", "/status", "active"), 403),
        (("replace", "/size", 1), 403),
        (("replace", "/checksum", "x"), 403),
        (("replace", "/id", "x"), 403),
        (("add", "/self", "x"), 403),
        (("add", "/locations/-", {"url": "file:///etc/passwd", "metadata": {}}), 403),
        (("replace", "/locations", []), 403),
        (("remove", "/name"), 403),
        (("add", "/os_glance_x", "x"), 403),
        (("add", "/deleted_at", "x"), 403),
        (("replace", "/owner", "somebody"), 403),
        (("replace", "/visibility", "public"), 403),
        (("replace", "/missing", "x"), 409),
        (("remove", "/missing"), 409),
        (("add", "/x", 1), 400),
        (("add", "/x", None), 400),
        (("replace", "/min_ram", -1), 400),
        (("replace", "/tags", "a"), 400),
        (("test", "/name", "n"), 400),
        (("add", "/a/b/c", "n"), 400),
        (("add", "/tags/-", "n"), 400),
        (("add", "name", "n"), 400),
        (("add", "/name"), 400),
    ],
    ids=str,
)
def test_a_wrong_operation_is_refused(owner, operation, status):
    image_id = owner.create(name="n")["id"]
    before = owner.get(f"/v2/images/{image_id}").json
    assert owner.patch(image_id, ("add", "/ok", "x"), operation).status_code == status
    assert owner.get(f"/v2/images/{image_id}").json == before


def test_names_with_slash_and_tilde_are_escaped(owner):
    image_id = owner.create()["id"]
    assert owner.patch(image_id, ("add", "/a~1b~0c", "x")).json["a/b~c"] == "x"


def test_an_empty_patch_is_fine(owner):
    assert owner.patch(owner.create()["id"]).status_code == 200


def test_formats_are_locked_once_there_are_bytes(owner):
    image_id = owner.create()["id"]
    assert owner.patch(image_id, ("replace", "/container_format", "ovf")).status_code == 200
    owner.patch(image_id, ("replace", "/container_format", "bare"))
    owner.upload(image_id)
    assert owner.patch(image_id, ("replace", "/container_format", "ovf")).status_code == 403


@pytest.mark.parametrize("name", ["os_type", "architecture", "description"])
def test_properties_that_are_columns_live_like_any_other(owner, name):
    image_id = owner.create(**{name: "one"})["id"]
    assert owner.listed(f"{name}=one") == [image_id]
    assert owner.patch(image_id, ("add", f"/{name}", "two")).json[name] == "two"
    assert owner.listed(f"{name}=two") == [image_id]
    assert owner.patch(image_id, ("remove", f"/{name}")).status_code == 200
    assert name not in owner.get(f"/v2/images/{image_id}").json
    assert owner.patch(image_id, ("remove", f"/{name}")).status_code == 409


def test_properties_at_the_limit_can_be_exchanged(owner):
    image_id = owner.create(**{f"p{n}": "x" for n in range(128)})["id"]
    assert owner.patch(image_id, ("add", "/one", "x")).status_code == 413
    assert owner.patch(image_id, ("remove", "/p0"), ("add", "/one", "x")).status_code == 200


def test_a_protected_image_is_not_deleted(owner):
    image_id = owner.create(protected=True)["id"]
    assert owner.request("DELETE", f"/v2/images/{image_id}").status_code == 403
    owner.patch(image_id, ("replace", "/protected", False))
    assert owner.request("DELETE", f"/v2/images/{image_id}").status_code == 204
    assert owner.get(f"/v2/images/{image_id}").status_code == 404
    assert owner.request("DELETE", f"/v2/images/{image_id}").status_code == 404


def test_deactivation_stops_downloads_for_all_but_administrators(app, owner):
    image_id = owner.active()
    path = f"/v2/images/{image_id}"
    for _ in range(2):
        assert owner.request("POST", f"{path}/actions/deactivate").status_code == 204
    assert owner.get(path).json["status"] == "deactivated"
    assert owner.get(f"{path}/file").status_code == 403
    assert Caller(app, None, "admin").get(f"{path}/file").status_code == 200
    for _ in range(2):
        assert owner.request("POST", f"{path}/actions/reactivate").status_code == 204
    assert owner.get(f"{path}/file").status_code == 200


@pytest.mark.parametrize("action", ["deactivate", "reactivate"])
def test_a_queued_image_has_no_such_action(owner, action):
    image_id = owner.create()["id"]
    found = owner.request("POST", f"/v2/images/{image_id}/actions/{action}")
    assert found.status_code == 403


def test_schemas_and_import_methods_are_published(owner):
    for name in ("image", "images", "member", "members"):
        assert owner.get(f"/v2/schemas/{name}").json["name"] == name
    methods = owner.get("/v2/info/import").json["import-methods"]["value"]
    assert methods == ["glance-direct", "web-download", "copy-image"]
    assert owner.get("/v2/info/stores").status_code == 404
