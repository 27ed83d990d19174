"""What an image at a foreign URL is not good for, and how it becomes one of our own."""

import hashlib

import pytest

from imagesvc import opts
from imagesvc.backend.registry import Backends
from imagesvc.context import RequestContext
from imagesvc.errors import ConfigurationError
from imagesvc.manager import quota_verify, store_verify
from imagesvc.worker import reaper
from tests.api.caller import Caller
from tests.api.glance.conftest import DATA, Several
from tests.api.glance.foreign_site import Far

ROOT = "/imagesvc/v1"
UNKNOWN = "00000000-0000-4000-8000-000000000000"


@pytest.fixture(scope="module")
def far(tmp_path_factory):
    made = Far(tmp_path_factory.mktemp("far"))
    yield made
    service = made.several.service
    reaper.run(service)
    found = store_verify.verify(service.database, service.backends, older_than_s=0)
    assert found.findings == []
    assert quota_verify.verify(service.database) == ()
    made.close()


def copy(far, image_id, **values):
    """Begin to copy it into stores."""
    body = {"method": {"name": "copy-image"}, **values}
    return far.admin.request("POST", f"/v2/images/{image_id}/import", body)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("servers", {"name": "a", "vcpus": 1, "memory_mib": 512}),
        ("volumes", {"name": "a", "size_gib": 1}),
        ("exports", {"object_store_id": UNKNOWN, "bucket": "abc", "key": "k"}),
    ],
)
def test_nothing_is_made_of_it(far, path, body):
    image_id = far.linked()
    found = far.owner.request("POST", f"{ROOT}/{path}", {"image_id": image_id, **body})
    assert found.status_code == 409, found.text
    assert "copy-image" in found.text


def test_no_other_image_is_made_of_it(far):
    image_id = far.linked()
    found = far.owner.request("POST", f"{ROOT}/images/{image_id}/copy", {"name": "a"})
    assert found.status_code == 409, found.text
    assert "copy-image" in found.text


def test_no_driver_gets_it(far):
    image_id = far.linked()
    service = far.several.service
    ctx = RequestContext("user", far.owner.project, frozenset({"member"}))
    image = service.images.get(ctx, image_id)
    for refused in (service.image_files.image_sources, service.image_files.image_source):
        with pytest.raises(Exception, match="foreign URL"):
            refused(ctx, image, job_id="of-the-test")


def test_a_copy_makes_it_one_of_our_own(far):
    image_id = far.linked()
    assert copy(far, image_id, stores=["fast", "plain"]).status_code == 202
    image = far.done(image_id)
    assert (image["status"], image["stores"]) == ("active", "fast,plain")
    assert image["os_hash_value"] == hashlib.sha512(DATA).hexdigest()
    assert all(one["url"].startswith("imagesvc+file:") for one in image["locations"])
    asked = len(far.web.requests)
    assert far.owner.get(f"/v2/images/{image_id}/file").content == DATA
    assert len(far.web.requests) == asked
    stored = far.owner.get(f"{ROOT}/quota/{far.owner.project}").json["quota"]["stored_bytes"]
    assert (stored["used"], stored["reserved"]) == (len(DATA), 0)
    assert far.owner.request("DELETE", f"/v2/images/{image_id}").status_code == 204


def test_a_life_is_the_same_on_each_engine(tmp_path, database_url):
    far = Far(tmp_path, database_url)
    image_id = far.owner.create()["id"]
    assert far.post(image_id).status_code == 202
    assert far.done(image_id)["os_hash_value"] == hashlib.sha512(DATA).hexdigest()
    wanted = {"url": far.url("/image#2"), "metadata": {"a": 1, "store": "web"}}
    assert far.owner.patch(image_id, ("add", "/locations/0", wanted)).status_code == 200
    places = far.image(image_id)["locations"]
    assert (places[0], len(places)) == (wanted, 2)
    (listed,) = far.owner.get("/v2/images", query_string=f"id={image_id}").json["images"]
    assert (listed["locations"], listed["stores"]) == (places, "web")
    found = far.owner.patch(image_id, ("replace", "/locations", places[::-1]))
    assert found.json["locations"] == places[::-1]
    assert far.admin.patch(image_id, ("remove", "/locations/0")).json["locations"] == [wanted]
    assert copy(far, image_id).status_code == 202
    assert far.done(image_id)["stores"] == "plain"
    assert far.owner.request("DELETE", f"/v2/images/{image_id}").status_code == 204
    other = far.owner.create()["id"]
    wrong = {"os_hash_algo": "sha256", "os_hash_value": "0" * 64}
    assert far.post(other, **wrong).status_code == 202
    assert far.done(other)["status"] == "queued"
    assert quota_verify.verify(far.several.service.database) == ()
    far.close()


def test_stores_that_fail_do_not_keep_it_from_the_others(far):
    image_id = far.linked()
    assert copy(far, image_id, all_stores=True, all_stores_must_succeed=False).status_code == 202
    assert far.done(image_id)["stores"] == "fast,archive,plain"
    assert far.owner.request("DELETE", f"/v2/images/{image_id}").status_code == 204


def test_bytes_that_are_not_those_that_were_said_are_not_taken_in(far):
    validation = {"os_hash_algo": "sha1", "os_hash_value": "0" * 40}
    image_id = far.linked(validation=validation)
    far.pages["/other"] = DATA
    changed = far.linked("/other")
    far.pages["/other"] = DATA[:-1]
    for one in (image_id, changed):
        assert copy(far, one).status_code == 202
        image = far.done(one)
        assert (image["status"], image["stores"]) == ("active", "web")
        task = far.owner.get(f"/v2/images/{one}/tasks").json["tasks"][0]
        assert task["status"] == "failure"
    assert far.several.keys("plain") == []


def test_a_copy_counts_for_the_quota_of_its_owner(far):
    customer = Caller(far.several.app)
    image_id = customer.create()["id"]
    assert customer.patch(image_id, ("add", "/locations/-", far.value())).status_code == 200
    admin = RequestContext("admin", None, frozenset({"admin"}), is_admin=True)
    far.several.service.quotas.set_limits(admin, customer.project, {"stored_bytes": 1000})
    assert copy(far, image_id).status_code == 413
    assert customer.get(f"/v2/images/{image_id}").json["stores"] == "web"


def test_an_image_that_is_read_by_a_job_is_not_copied_meanwhile(far):
    image_id = far.owner.create()["id"]
    assert far.post(image_id).status_code == 202
    assert copy(far, image_id).status_code == 409
    assert far.done(image_id)["os_hash_algo"] == "sha512"


def test_the_store_is_told_and_takes_no_bytes(far):
    stores = {one["id"]: one for one in far.owner.get("/v2/info/stores").json["stores"]}
    assert stores["web"] == {"id": "web", "description": "foreign URLs", "read-only": "true"}
    details = far.admin.get("/v2/info/stores/detail").json["stores"]
    (detail,) = [one for one in details if one["id"] == "web"]
    assert (detail["type"], detail["properties"]) == ("http", {})
    image_id = far.owner.create()["id"]
    assert far.owner.upload(image_id, **{"X-Image-Meta-Store": "web"}).status_code == 410
    own = far.owner.active()
    assert copy(far, own, stores=["web"]).status_code == 409
    method = {"method": {"name": "web-download", "uri": far.url()}, "stores": ["web"]}
    found = far.owner.request("POST", f"/v2/images/{image_id}/import", method)
    assert found.status_code == 409
    far.owner.request("DELETE", f"/v2/images/{own}")


def test_our_own_api_says_that_it_is_foreign(far):
    image_id = far.linked()
    image = far.owner.get(f"{ROOT}/images/{image_id}").json["image"]
    assert (image["foreign"], image["good_copies"], image["disks"]) == (True, None, [])
    assert (image["damaged"], image["stores"]) == (False, [])
    assert any("unverified" in one for one in image["warnings"])
    assert far.owner.get(f"{ROOT}/images/{far.owner.create()['id']}").json["image"][
        "foreign"
    ] is False  # fmt: skip


@pytest.mark.parametrize("name", ["plain", "Web", "a b", "1"])
def test_the_store_needs_an_id_of_its_own(far, tmp_path, name):
    text = (far.several.folder / "imagesvc.conf").read_text()
    path = tmp_path / "imagesvc.conf"
    path.write_text(text.replace("foreign_store = web", f"foreign_store = {name}"))
    with pytest.raises(ConfigurationError, match="foreign_store"):
        Backends(opts.load(path))


def test_where_the_operator_wants_none_any_more_an_image_is_copied_in_or_not_read(tmp_path):
    far = Far(tmp_path)
    image_id = far.linked()
    queued = far.owner.create()["id"]
    far.close()
    text = (tmp_path / "imagesvc.conf").read_text()
    port = far.web.port
    del far
    closed = Several(
        tmp_path, f"sqlite:///{tmp_path}/imagesvc.sqlite",
        text[text.index("[image]\nshow_image_direct_url") :],
    )  # fmt: skip
    admin = Caller(closed.app, None, "admin")
    shown = admin.get(f"/v2/images/{image_id}").json
    assert (shown["status"], shown["stores"]) == ("active", "web")
    found = admin.get(f"/v2/images/{image_id}/file")
    assert (found.status_code, "web" in found.text) == (400, True)
    value = {"url": f"http://127.0.0.1:{port}/x", "metadata": {}}
    for one, status in ((image_id, 403), (queued, 200)):
        assert admin.patch(one, ("add", "/locations/-", value)).status_code == status
    assert admin.get(f"/v2/images/{queued}").json["status"] == "importing"
    body = {"method": {"name": "copy-image"}}
    assert admin.request("POST", f"/v2/images/{image_id}/import", body).status_code == 202
    assert "web" not in admin.get("/v2/info/stores").text
    closed.close()
