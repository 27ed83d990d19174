"""Families in our own API: list, show, move, roll back, and images that are named by them."""

import urllib.parse

import pytest

from imagesvc.context import RequestContext
from tests import open_job
from tests.api.caller import Caller

NATIVE = "/imagesvc/v1"
FAMILY, VERSION = "imagesvc_family", "imagesvc_family_version"


@pytest.fixture
def owner(each_app):
    return Caller(each_app)


def made(owner, version, **more):
    return owner.active(**{FAMILY: "web", VERSION: version, **more})


def put(owner, image_id, **more):
    return owner.request("PUT", f"{NATIVE}/families/web", {"image_id": image_id, **more})


def current(owner):
    found = owner.get(f"{NATIVE}/families/web")
    assert found.status_code == 200, found.text
    return found.json["family"]


def test_a_family_is_listed_and_shown_with_its_versions(owner):
    old, new = made(owner, "9"), made(owner, "10")
    (listed,) = owner.get(f"{NATIVE}/families").json["families"]
    assert (listed["name"], listed["image_id"], listed["pinned"]) == ("web", new, False)
    shown = current(owner)
    assert [one["image_id"] for one in shown["versions"]] == [new, old]
    assert shown["project_id"] == owner.project


def test_families_of_others_are_not_there(owner):
    made(owner, "1")
    other = Caller(owner.client.app)
    assert other.get(f"{NATIVE}/families/web").status_code == 404
    assert owner.get(f"{NATIVE}/families/none").json["error"]["reason"] == "family-not-found"


def test_an_alias_is_set_rolled_back_and_taken_away(owner):
    one, two, three = (made(owner, version) for version in ("1", "2", "3"))
    assert put(owner, two).json["family"]["image_id"] == two
    assert put(owner, two).status_code == 200
    assert put(owner, one, former_image_id=three).status_code == 409
    assert put(owner, one, former_image_id=two).status_code == 200
    assert (current(owner)["image_id"], current(owner)["former_image_id"]) == (one, two)
    back = owner.request("POST", f"{NATIVE}/families/web/rollback")
    assert (back.status_code, back.json["family"]["image_id"]) == (200, two)
    assert owner.request("DELETE", f"{NATIVE}/families/web").status_code == 204
    assert owner.request("DELETE", f"{NATIVE}/families/web").status_code == 404
    assert current(owner)["image_id"] == three


def test_without_an_alias_a_rollback_goes_to_the_version_before(owner):
    first = made(owner, "1")
    path = f"{NATIVE}/families/web/rollback"
    assert owner.request("POST", path).status_code == 409
    made(owner, "2")
    assert owner.request("POST", path).json["family"]["image_id"] == first


def test_only_an_active_image_of_the_family_becomes_its_newest(owner):
    made(owner, "1")
    assert put(owner, owner.active()).status_code == 400
    assert put(owner, owner.create(**{FAMILY: "web"})["id"]).status_code == 409
    assert put(owner, "no-such").status_code == 404
    reader = Caller(owner.client.app, owner.project, "reader")
    assert put(reader, made(owner, "2")).status_code == 403


def test_a_public_family_is_moved_by_its_owner_alone(owner):
    admin = Caller(owner.client.app, owner.project, "admin", "member")
    image_id = owner.active(**{FAMILY: f"pub-{owner.project}"})
    assert admin.patch(image_id, ("replace", "/visibility", "public")).status_code == 200
    other = Caller(owner.client.app)
    path = f"{NATIVE}/families/pub-{owner.project}"
    assert other.get(path).json["family"]["image_id"] == image_id
    assert other.request("PUT", path, {"image_id": image_id}).status_code == 403
    assert other.request("POST", f"{path}/rollback").status_code == 404


def test_a_second_public_image_of_a_family_is_refused_until_the_first_is_hidden(owner):
    admin = Caller(owner.client.app, owner.project, "admin", "member")
    # Of a name of its own: what is public, the other tests see.
    name = f"shown-{owner.project}"
    first, second = (made(owner, version, **{FAMILY: name}) for version in ("1", "2"))
    assert admin.patch(first, ("replace", "/visibility", "public")).status_code == 200
    assert admin.patch(second, ("replace", "/visibility", "public")).status_code == 409
    assert owner.patch(first, ("replace", "/os_hidden", True)).status_code == 200
    assert admin.patch(second, ("replace", "/visibility", "public")).status_code == 200


def test_a_deprecated_image_tells_what_replaces_it(owner):
    old, new = made(owner, "1"), made(owner, "2")
    owner.patch(old, ("add", "/imagesvc_deprecated_at", "2026-01-01T00:00:00Z"))
    shown = owner.get(f"{NATIVE}/images/{old}").json["image"]
    assert shown["deprecated_at"].startswith("2026-01-01T00:00:00")
    assert shown["replacement_id"] == new
    assert any(new in text for text in shown["warnings"])
    assert owner.get(f"{NATIVE}/images/{new}").json["image"]["replacement_id"] is None


def test_servers_are_made_by_family_and_deprecation_is_told_in_the_answer(owner):
    image_id = made(owner, "1")
    body = {"image_id": "family/web", "name": "s", "memory_mib": 64, "vcpus": 1}
    found = owner.request("POST", f"{NATIVE}/servers", body)
    assert found.status_code == 202, found.text
    assert "Deprecation" not in found.headers
    owner.patch(image_id, ("add", "/imagesvc_deprecated_at", "2026-01-01T00:00:00Z"))
    assert (
        owner.request("POST", f"{NATIVE}/servers", body).json["error"]["reason"]
        == "family-not-found"
    )
    newer = made(owner, "2")
    told = owner.request("POST", f"{NATIVE}/servers", {**body, "image_id": image_id})
    assert told.status_code == 202
    assert told.headers["Deprecation"] == "@1767225600"
    assert newer in told.headers["Link"]
    assert "successor-version" in told.headers["Link"]


def test_the_last_use_is_written_once_an_hour_and_is_no_change(owner, each_service):
    image_id = made(owner, "1")
    before = owner.get(f"/v2/images/{image_id}").json
    assert owner.get(f"{NATIVE}/images/{image_id}").json["image"]["last_used_at"] is None
    body = {"image_id": image_id, "name": "s", "memory_mib": 64, "vcpus": 1}
    owner.request("POST", f"{NATIVE}/servers", body)
    first = owner.get(f"{NATIVE}/images/{image_id}").json["image"]["last_used_at"]
    assert first is not None
    owner.request("POST", f"{NATIVE}/servers", body)
    assert owner.get(f"{NATIVE}/images/{image_id}").json["image"]["last_used_at"] == first
    assert owner.get(f"/v2/images/{image_id}").json == before


@pytest.mark.parametrize("door", ["glance", "native", "signed", "range", "another project"])
def test_a_download_by_any_door_is_a_use(each_service, owner, door):
    image_id = owner.active(visibility="community")
    file = f"/v2/images/{image_id}/file"
    for headers in ({}, {"If-None-Match": "*"}):
        method = "GET" if headers else "HEAD"
        assert owner.request(method, file, headers=headers).status_code in (200, 304)
    assert Caller(owner.client.app, owner.project, "reader").get(file).status_code == 403
    each_service.last_uses.write()
    path = f"{NATIVE}/images/{image_id}"
    assert owner.get(path).json["image"]["last_used_at"] is None
    ctx = RequestContext("u", owner.project, frozenset({"member"}))
    job_id = open_job.begin(each_service, ctx)
    signed = urllib.parse.urlsplit(each_service.image_files.sign(image_id, 0, job_id))
    found = {
        "glance": lambda: owner.get(file),
        "native": lambda: owner.get(f"{path}/disk/0/file"),
        "signed": lambda: owner.client.simulate_get(signed.path, query_string=signed.query),
        "range": lambda: owner.get(file, headers={"Range": "bytes=5-9"}),
        "another project": lambda: Caller(owner.client.app).get(file),
    }[door]()
    assert found.status_code in (200, 206), found.text
    each_service.last_uses.write()
    assert owner.get(path).json["image"]["last_used_at"] is not None


def test_a_copy_names_its_parent(owner):
    source = made(owner, "1")
    copy = owner.request("POST", f"{NATIVE}/images/{source}/copy", {"name": "c"}).json["image_id"]
    assert owner.get(f"{NATIVE}/images/{copy}").json["image"]["parent_image_id"] == source


def test_a_copy_of_a_deprecated_image_is_not_deprecated_and_the_answer_tells_that_its_source_is(
    owner,
):
    source, newer = made(owner, "1"), made(owner, "2")
    path = f"{NATIVE}/images/{source}/copy"
    assert "Deprecation" not in owner.request("POST", path, {"name": "c"}).headers
    owner.patch(source, ("add", "/imagesvc_deprecated_at", "2026-01-01T00:00:00Z"))
    told = owner.request("POST", path, {"name": "c"})
    assert told.headers["Deprecation"] == "@1767225600"
    assert newer in told.headers["Link"]
    shown = owner.get(f"{NATIVE}/images/{told.json['image_id']}").json["image"]
    of_family = ("family", "family_version", "deprecated_at", "replacement_id", "warnings")
    assert [shown[name] or None for name in of_family] == [None] * 5
    assert shown["parent_image_id"] == source
    assert "imagesvc_deprecated_at" not in owner.get(f"/v2/images/{shown['id']}").json
    assert current(owner)["image_id"] == newer
    assert Caller(owner.client.app).request("POST", path, {"name": "c"}).status_code == 404


def test_what_a_service_makes_of_an_image_of_a_family_is_none_of_the_family(owner):
    """Nova and Cinder hand all properties of an image on to what they make of its servers and volumes."""
    image_id = made(owner, "1")
    handed = {FAMILY: "web", VERSION: "2", "imagesvc_deprecated_at": "2026-01-01T00:00:00Z"}
    formats = {"disk_format": "raw", "container_format": "bare", "hw_x": "y"}
    token = {"X-Service-Token": "cinder/services/service"}
    for more, headers in (({"base_image_ref": image_id}, {}), ({}, token)):
        found = owner.request("POST", "/v2/images", formats | handed | more, headers=headers)
        assert found.status_code == 201, found.text
        assert found.json["hw_x"] == "y"
        assert not handed.keys() & found.json.keys()
        owner.upload(found.json["id"])
        assert current(owner)["image_id"] == image_id


def test_family_version_and_deprecation_are_set_and_taken_away(owner):
    image_id = owner.active()
    path = f"{NATIVE}/images/{image_id}/family"
    body = {"family": "web", "family_version": "3", "deprecated_at": "2026-01-01"}
    found = owner.request("PATCH", path, body)
    assert found.status_code == 200, found.text
    assert (found.json["image"]["family"], found.json["image"]["family_version"]) == ("web", "3")
    found = owner.request("PATCH", path, {"deprecated_at": None}).json["image"]
    assert (found["family"], found["deprecated_at"]) == ("web", None)
    assert owner.request("PATCH", path, {"family": "No Word"}).status_code == 400
    reader = Caller(owner.client.app, owner.project, "reader")
    assert reader.request("PATCH", path, {"family": None}).status_code == 403
