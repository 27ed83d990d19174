"""Locations that are added: the service fetches a URL and compares the digest, on real servers."""

import hashlib

import pytest

from tests.api.caller import Caller
from tests.api.glance.conftest import DATA, Several

WRONG = {"os_hash_algo": "sha256", "os_hash_value": "0" * 64}


def add(caller, image_id, url, **validation):
    """Add a location."""
    body = {"url": url, **({"validation_data": validation} if validation else {})}
    return caller.request("POST", f"/v2/images/{image_id}/locations", body)


def digest(algorithm):
    """What a caller gives who knows the bytes."""
    return {"os_hash_algo": algorithm, "os_hash_value": hashlib.new(algorithm, DATA).hexdigest()}


@pytest.mark.parametrize("algorithm", [None, "md5", "sha1", "sha256", "sha512"])
def test_the_bytes_of_a_location_become_the_image(site, algorithm):
    image_id = site.owner.create()["id"]
    found = add(site.owner, image_id, site.web.url(), **(digest(algorithm) if algorithm else {}))
    assert (found.status_code, found.content) == (202, b"")
    assert site.owner.get(f"/v2/images/{image_id}").json["status"] == "importing"
    image = site.done(image_id)
    assert (image["status"], image["size"]) == ("active", len(DATA))
    assert image["os_hash_value"] == digest("sha512")["os_hash_value"]
    assert site.owner.get(f"/v2/images/{image_id}/file").content == DATA
    admin = Caller(site.several.app, None, "admin")
    (place,) = admin.get(f"/v2/images/{image_id}/locations").json
    assert place["url"].startswith(f"imagesvc+file://plain/{image_id}/")


def test_bytes_of_another_digest_are_not_kept(site):
    image_id = site.owner.create()["id"]
    assert add(site.owner, image_id, site.web.url(), **WRONG).status_code == 202
    image = site.done(image_id)
    assert (image["status"], image["size"], image["checksum"]) == ("queued", None, None)
    task = site.owner.get(f"/v2/images/{image_id}/tasks").json["tasks"][0]
    assert (task["status"], task["type"]) == ("failure", "location_import")
    assert "digest" in task["message"]
    good = digest("sha256")
    assert add(site.owner, image_id, site.web.url(), **good).status_code == 202
    assert site.done(image_id)["status"] == "active"


def test_a_digest_in_capitals_is_the_same(site):
    image_id = site.owner.create()["id"]
    given = digest("sha1")
    given["os_hash_value"] = given["os_hash_value"].upper()
    assert add(site.owner, image_id, site.web.url(), **given).status_code == 202
    assert site.done(image_id)["status"] == "active"


@pytest.mark.parametrize(
    "body",
    [
        {}, {"url": ""}, {"url": 1}, [],
        {"validation_data": {"os_hash_algo": "sha256"}},
        {"validation_data": {"os_hash_value": "0" * 64}},
        {"validation_data": {"os_hash_algo": "sha256", "os_hash_value": "0" * 63}},
        {"validation_data": {"os_hash_algo": "sha256", "os_hash_value": "x" * 64}},
        {"validation_data": {"os_hash_algo": "sha384", "os_hash_value": "0" * 96}},
        {"url": "http://169.254.169.254/x"},
    ],
    ids=str,
)  # fmt: skip
def test_what_is_wrong_is_refused_and_never_asked(site, body):
    image_id = site.owner.create()["id"]
    if "validation_data" in body:
        body = {"url": site.web.url(), **body}
    found = site.owner.request("POST", f"/v2/images/{image_id}/locations", body)
    assert found.status_code == 400, found.text
    assert site.owner.get(f"/v2/images/{image_id}").json["status"] == "queued"
    assert site.web.requests == []


def test_only_a_queued_image_takes_a_location(site):
    active = site.owner.active()
    assert add(site.owner, active, site.web.url()).status_code == 409
    image_id = site.owner.create()["id"]
    assert add(site.owner, image_id, site.web.url()).status_code == 202
    assert add(site.owner, image_id, site.web.url()).status_code == 409
    assert site.done(image_id)["status"] == "active"


@pytest.mark.parametrize("url", ["file:///etc/passwd", "rbd://a/b/c/d", "swift+config://a/b/c"])
@pytest.mark.parametrize("role", ["member", "service"])
def test_no_location_but_one_of_the_web_is_taken(site, role, url):
    image_id = site.owner.create()["id"]
    caller = Caller(site.several.app, site.owner.project, role)
    assert add(caller, image_id, url).status_code == 403


def test_owners_services_and_administrators_add_locations(site):
    app, url = site.several.app, site.web.url()
    image_id = site.owner.create(visibility="private")["id"]
    shared = site.owner.create(visibility="community")["id"]
    assert add(Caller(app, site.owner.project, "reader"), image_id, url).status_code == 403
    assert add(Caller(app), image_id, url).status_code == 404
    assert add(Caller(app), shared, url).status_code == 403
    for role in ("service", "admin"):
        image_id = site.owner.create(visibility="private")["id"]
        assert add(Caller(app, None, role), image_id, url).status_code == 202
        assert site.done(image_id)["status"] == "active"


def test_the_list_of_tasks_knows_added_locations(site):
    image_id = site.owner.create()["id"]
    assert add(site.owner, image_id, site.web.url()).status_code == 202
    site.done(image_id)
    imported, _ = site.begin()
    site.done(imported)
    admin = Caller(site.several.app, None, "admin")

    def kinds(query):
        return sorted(
            task["type"] for task in admin.get("/v2/tasks", query_string=query).json["tasks"]
        )

    assert kinds("") == ["api_image_import", "location_import"]
    assert kinds("type=location_import") == ["location_import"]
    assert kinds("type=api_image_import") == ["api_image_import"]
    assert kinds("type=import") == []


def test_no_location_is_added_where_the_service_fetches_nothing(tmp_path):
    closed = Several(
        tmp_path, f"sqlite:///{tmp_path}/imagesvc.sqlite", "[import]\nmethods = glance-direct\n"
    )
    owner = Caller(closed.app)
    image_id = owner.create()["id"]
    assert add(owner, image_id, "http://192.0.2.1/x").status_code == 403
    assert owner.get(f"/v2/images/{image_id}").json["status"] == "queued"
    closed.close()
