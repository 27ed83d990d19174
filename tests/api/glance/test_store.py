"""Several stores: what is told of them, where bytes go, which are read, and how they leave."""

import pytest

from imagesvc.db import location
from tests.api.caller import Caller


@pytest.fixture
def owner(several):
    return Caller(several.app)


@pytest.fixture
def admin(several, owner):
    return Caller(several.app, owner.project, "admin")


@pytest.fixture
def copied(several, owner, admin):
    """An image in two stores."""
    image_id = owner.create()["id"]
    assert owner.upload(image_id, **{"X-Image-Meta-Store": "archive"}).status_code == 204
    place(several, image_id, "fast")
    return image_id


def place(several, image_id, store_id, data=b"x" * 1000):
    """What a job that copies does, without the job."""
    key = f"{image_id}/copy-{store_id}"
    with several.service.backends.storage(store_id).open_write(key) as writer:
        writer.write(data)
        writer.commit()
    with several.service.database.write() as conn:
        location.add(conn, image_id, 0, store_id, key)


def test_stores_are_told_best_first(owner):
    found = owner.get("/v2/info/stores")
    assert found.json == {
        "stores": [
            {"id": "fast", "description": "near"},
            {"id": "shut", "read-only": "true"},
            {"id": "archive"},
            {"id": "plain", "default": "true"},
        ]
    }


def test_details_are_for_administrators_and_services(several, owner, admin):
    path = "/v2/info/stores/detail"
    assert owner.get(path).status_code == 403
    assert Caller(several.app, None, "service").get(path).status_code == 200
    found = {store["id"]: store for store in admin.get(path).json["stores"]}
    assert found["fast"] == {
        "id": "fast", "description": "near", "type": "file", "weight": 10,
        "properties": {"data_dir": str(several.folder / "fast")},
    }  # fmt: skip


@pytest.mark.parametrize("path", ["/v2/info/stores", "/v2/info/stores/detail"])
def test_one_store_is_none_to_tell_of(app, path):
    assert Caller(app, None, "admin").get(path).status_code == 404


def test_a_created_image_comes_with_the_stores(owner, app):
    found = owner.request("POST", "/v2/images", {})
    assert found.headers["OpenStack-image-store-ids"] == "fast,shut,archive,plain"
    assert "stores" not in found.json
    alone = Caller(app).request("POST", "/v2/images", {})
    assert "OpenStack-image-store-ids" not in alone.headers


@pytest.mark.parametrize(
    ("store", "status"), [(None, 204), ("archive", 204), ("nowhere", 400), ("shut", 410)]
)
def test_bytes_go_into_the_store_that_is_named(several, owner, store, status):
    image_id = owner.create()["id"]
    headers = {"X-Image-Meta-Store": store} if store else {}
    assert owner.upload(image_id, **headers).status_code == status
    image = owner.get(f"/v2/images/{image_id}").json
    assert image["status"] == ("active" if status == 204 else "queued")
    assert image.get("stores") == ((store or "plain") if status == 204 else None)
    inside = (
        [key for key in several.keys(store or "plain") if key.startswith(image_id)]
        if status == 204
        else []
    )
    assert len(inside) == (status == 204)


def test_stores_are_named_best_first_in_lists_too(owner, copied):
    (image,) = owner.get("/v2/images", query_string=f"id={copied}").json["images"]
    assert image["stores"] == "fast,archive"
    assert owner.get(f"/v2/images/{copied}").json["stores"] == "fast,archive"


def test_bytes_come_from_the_best_store_unless_another_is_preferred(several, owner):
    image_id = owner.active(b"plain" * 100)
    place(several, image_id, "fast", b"quick" * 100)
    path = f"/v2/images/{image_id}/file"
    assert owner.get(path).content == b"quick" * 100
    assert owner.get(path, query_string="prefer=plain,fast").content == b"plain" * 100
    assert owner.get(path, query_string="prefer=archive").content == b"quick" * 100
    assert owner.get(path, query_string="prefer=nowhere").status_code == 400


def test_a_store_that_fails_is_passed_over(several, owner, copied):
    (key,) = [key for key in several.keys("fast") if key.startswith(copied)]
    several.service.backends.storage("fast").delete(key)
    path = f"/v2/images/{copied}/file"
    assert owner.get(path).content == b"x" * 1000
    found = owner.get(path, headers={"Range": "bytes=0-9"})
    assert (found.status_code, len(found.content)) == (206, 10)


def test_an_image_leaves_one_of_its_stores(several, owner, admin, copied):
    path = f"/v2/images/{copied}"
    assert owner.request("DELETE", f"/v2/stores/archive/{copied}").status_code == 403
    assert admin.request("DELETE", f"/v2/stores/archive/{copied}").status_code == 204
    assert owner.get(path).json["stores"] == "fast"
    assert not [key for key in several.keys("archive") if key.startswith(copied)]
    assert owner.get(f"{path}/file").content == b"x" * 1000


@pytest.mark.parametrize(
    ("store", "status"), [("nowhere", 409), ("plain", 404), ("fast", 204), ("archive", 204)]
)
def test_what_a_removal_from_a_store_answers(admin, copied, store, status):
    assert admin.request("DELETE", f"/v2/stores/{store}/{copied}").status_code == status


def test_the_only_copy_stays_whatever_store_is_named(owner, admin):
    image_id = owner.active()
    for store in ("plain", "fast"):
        assert admin.request("DELETE", f"/v2/stores/{store}/{image_id}").status_code == 403
    assert admin.request("DELETE", f"/v2/stores/nowhere/{image_id}").status_code == 409


def test_only_an_active_image_leaves_a_store(admin, owner, copied):
    assert owner.request("POST", f"/v2/images/{copied}/actions/deactivate").status_code == 204
    assert admin.request("DELETE", f"/v2/stores/fast/{copied}").status_code == 409
    queued = owner.create()["id"]
    assert admin.request("DELETE", f"/v2/stores/fast/{queued}").status_code == 409


def test_a_removal_tells_nothing_of_images_that_are_not_there(several, app, copied):
    stranger = Caller(several.app)
    admin = Caller(several.app, None, "admin")
    absent = "00000000-0000-4000-8000-000000000000"
    assert stranger.request("DELETE", f"/v2/stores/fast/{copied}").status_code == 404
    assert admin.request("DELETE", f"/v2/stores/fast/{absent}").status_code == 404
    alone = Caller(app, None, "admin")
    assert alone.request("DELETE", f"/v2/stores/local/{absent}").status_code == 404


def test_a_deleted_image_leaves_every_store(several, owner, copied):
    assert owner.request("DELETE", f"/v2/images/{copied}").status_code == 204
    for store in ("fast", "archive"):
        assert not [key for key in several.keys(store) if key.startswith(copied)]


def test_the_minors_of_several_stores_are_told_where_there_are_several(owner, app):
    several = {one["id"] for one in owner.get("/versions").json["versions"]}
    alone = {one["id"] for one in Caller(app).get("/versions").json["versions"]}
    assert several - alone == {"v2.8", "v2.10", "v2.11", "v2.12", "v2.13"}
