"""Locations that a patch changes: fetched and compared, never believed."""

import gzip
import hashlib

import pytest

from imagesvc.context import RequestContext
from imagesvc.db import foreign_location
from imagesvc.domain.foreign_location import ForeignLocation
from tests.api.caller import Caller
from tests.api.glance.conftest import DATA, Several
from tests.api.glance.test_location import SHOWN
from tests.web_server import answer

DIGESTS = {
    "checksum": hashlib.md5(DATA).hexdigest(),
    "os_hash_algo": "sha512",
    "os_hash_value": hashlib.sha512(DATA).hexdigest(),
}


@pytest.fixture
def settings():
    """Locations are shown, and imports unpacked."""
    return f"{SHOWN}[import]\nplugins = image_decompression\n"


def value(site, **given):
    """A location at the server."""
    return {"url": site.web.url(), "metadata": {}, **given}


def added(site, image_id, **given):
    """Add a location and let the worker work; the image then."""
    found = site.owner.patch(image_id, ("add", "/locations/-", value(site, **given)))
    assert found.status_code == 200, found.text
    return site.done(image_id)


@pytest.mark.parametrize("operation", ["add", "replace"])
@pytest.mark.parametrize(
    "validation",
    [{}, DIGESTS, {"checksum": DIGESTS["checksum"]},
     {"os_hash_algo": "sha1", "os_hash_value": hashlib.sha1(DATA).hexdigest(),
      "checksum": DIGESTS["checksum"]}],
    ids=["none", "all", "md5", "sha1 too"],
)  # fmt: skip
def test_a_queued_image_gets_the_bytes_of_a_location(site, operation, validation):
    image_id = site.owner.create()["id"]
    given = value(site, **({"validation_data": validation} if validation else {}))
    path = "/locations/-" if operation == "add" else "/locations"
    found = site.owner.patch(image_id, (operation, path, given if path[-1] == "-" else [given]))
    assert (found.status_code, found.json["status"]) == (200, "importing"), found.text
    image = site.done(image_id)
    assert (image["status"], image["size"]) == ("active", len(DATA))
    assert image["os_hash_value"] == DIGESTS["os_hash_value"]
    assert len(image["locations"]) == 1
    assert site.owner.get(f"/v2/images/{image_id}/file").content == DATA


@pytest.mark.parametrize("wrong", ["checksum", "os_hash_value"])
def test_bytes_of_another_digest_are_not_kept(site, wrong):
    image_id = site.owner.create()["id"]
    image = added(site, image_id, validation_data={**DIGESTS, wrong: "0" * len(DIGESTS[wrong])})
    assert (image["status"], image["size"], image["locations"]) == ("queued", None, [])


def test_an_active_image_takes_its_own_bytes_as_one_more_copy_and_no_others(site, answers):
    image_id = site.owner.create()["id"]
    assert len(added(site, image_id)["locations"]) == 1
    image = added(site, image_id, validation_data=DIGESTS)
    assert (image["status"], len(image["locations"])) == ("active", 2)
    answers[0] = answer(DATA + b"x")
    image = added(site, image_id)
    assert (image["status"], len(image["locations"])) == ("active", 2)
    assert site.owner.get(f"/v2/images/{image_id}/file").content == DATA
    task = site.owner.get(f"/v2/images/{image_id}/tasks").json["tasks"][0]
    assert (task["status"], "digest" in task["message"]) == ("failure", True)
    answers[0] = answer(DATA)
    assert len(added(site, image_id)["locations"]) == 3
    found = site.owner.patch(image_id, ("add", "/locations/-", value(site)))
    assert (found.status_code, "Every store" in found.text) == (409, True)


def test_one_more_copy_stays_packed_and_counts_no_more_bytes(site, answers):
    packed = gzip.compress(DATA)
    image_id = site.owner.active(packed)
    admin = RequestContext("admin", None, frozenset({"admin"}), is_admin=True)
    site.several.service.quotas.set_limits(admin, site.owner.project, {"stored_bytes": len(packed)})
    answers[0] = answer(packed)
    image = added(site, image_id)
    assert (image["stores"], image["size"]) == ("fast,plain", len(packed))
    (key,) = site.several.keys("fast")
    with site.several.service.backends.storage("fast").open_read(key) as copy:
        assert copy.read() == packed


def test_other_digests_than_the_image_has_are_a_conflict(site):
    image_id = site.owner.create()["id"]
    added(site, image_id)
    for name in DIGESTS:
        given = {**DIGESTS, name: "sha256" if "algo" in name else "0" * len(DIGESTS[name])}
        found = site.owner.patch(
            image_id, ("add", "/locations/-", value(site, validation_data=given))
        )
        assert found.status_code == 409, found.text


def test_places_are_removed_by_administrators_but_the_last(site):
    image_id = site.owner.create()["id"]
    added(site, image_id)
    image = added(site, image_id)
    urls = [one["url"] for one in image["locations"]]
    admin = Caller(site.several.app, None, "admin")
    assert site.owner.patch(image_id, ("remove", "/locations/0")).status_code == 403
    assert Caller(site.several.app).patch(image_id, ("remove", "/locations/0")).status_code == 404
    assert admin.patch(image_id, ("remove", "/locations/2")).status_code == 400
    both = [("remove", "/locations/1"), ("remove", "/locations/0")]
    assert admin.patch(image_id, *both).status_code == 403
    assert len(admin.get(f"/v2/images/{image_id}").json["locations"]) == 2
    found = admin.patch(image_id, ("remove", "/locations/0"))
    assert [one["url"] for one in found.json["locations"]] == urls[1:]
    assert admin.patch(image_id, ("remove", "/locations/0")).status_code == 403
    assert site.owner.get(f"/v2/images/{image_id}/file").content == DATA
    queued = site.owner.create()["id"]
    assert admin.patch(queued, ("remove", "/locations/0")).status_code == 409


def test_a_list_of_places_is_replaced_by_itself_alone(site):
    image_id = site.owner.create()["id"]
    added(site, image_id)
    places = added(site, image_id)["locations"]
    for wanted, status in ((places, 200), (places[::-1], 200), (places[:1], 400), ([], 403),
                           ([*places, value(site)], 400), ([*places, places[0]], 400)):  # fmt: skip
        found = site.owner.patch(image_id, ("replace", "/locations", wanted))
        assert found.status_code == status, found.text
    assert site.owner.get(f"/v2/images/{image_id}").json["locations"] == places


def test_a_url_that_a_link_which_failed_left_is_in_nobodys_way(site):
    image_id = site.owner.create()["id"]
    with site.several.service.database.write() as conn:
        foreign_location.put(conn, image_id, (ForeignLocation("gone", "http://gone.invalid/"),))
    assert site.owner.patch(image_id, ("add", "/locations/1", value(site))).status_code == 400
    found = site.owner.patch(image_id, ("replace", "/locations", [value(site)]))
    assert found.status_code == 200, found.text
    assert site.done(image_id)["status"] == "active"


@pytest.mark.parametrize(
    ("status", "operation"),
    [
        (400, ("add", "/locations/-", {})), (400, ("add", "/locations/-", [])),
        (400, ("add", "/locations/-", {"url": 1})), (400, ("add", "/locations/-", {"url": ""})),
        (400, ("add", "/locations/-", {"url": "gopher://info.cern.ch"})),
        (400, ("add", "/locations/-", {"url": "file:///etc/passwd"})),
        (400, ("add", "/locations/-", {"url": "swift+config://a/b"})),
        (400, ("add", "/locations/-", {"url": "imagesvc+file://plain/x"})),
        (400, ("add", "/locations/-", {"url": "http://169.254.169.254/"})),
        (400, ("add", "/locations/-", {"url": "HERE", "metadata": 1})),
        (400, ("add", "/locations/-", {"url": "HERE", "more": 1})),
        (400, ("add", "/locations/1", {"url": "HERE"})),
        (400, ("add", "/locations/x", {"url": "HERE"})), (400, ("add", "/locations", {"url": "HERE"})),
        (400, ("add", "/locations/-1", {"url": "HERE"})),
        (400, ("replace", "/locations/0", {"url": "HERE"})), (400, ("replace", "/locations", {})),
        (400, ("replace", "/locations", [{"url": "HERE"}, {"url": "HERE"}])),
        (403, ("replace", "/locations", [])), (400, ("remove", "/locations")),
        (400, ("remove", "/locations/-")),
        (409, ("add", "/locations/-", {"url": "HERE", "validation_data": {"checksum": "x"}})),
        (409, ("add", "/locations/-", {"url": "HERE", "validation_data": []})),
        (409, ("add", "/locations/-", {"url": "HERE", "validation_data": {"os_hash_algo": "md5"}})),
    ],
    ids=str,
)  # fmt: skip
def test_what_is_wrong_is_refused_and_never_asked(site, status, operation):
    image_id = site.owner.create()["id"]

    def put(given):
        if isinstance(given, list):
            return [put(one) for one in given]
        if isinstance(given, dict) and given.get("url") == "HERE":
            return {**given, "url": site.web.url()}
        return given

    op, path, *given = operation
    found = site.owner.patch(image_id, (op, path, *map(put, given)))
    assert found.status_code == status, found.text
    assert site.owner.get(f"/v2/images/{image_id}").json["status"] == "queued"
    assert site.web.requests == []


def test_a_patch_of_locations_changes_nothing_else(site):
    image_id = site.owner.create(name="before")["id"]
    for more in (("replace", "/name", "after"), ("add", "/locations/-", value(site))):
        found = site.owner.patch(image_id, ("add", "/locations/-", value(site)), more)
        assert found.status_code == 400
    image = site.owner.get(f"/v2/images/{image_id}").json
    assert (image["status"], image["name"]) == ("queued", "before")


def test_only_who_may_add_locations_patches_them(site):
    app, operation = site.several.app, ("add", "/locations/-", value(site))
    image_id = site.owner.create(visibility="community")["id"]
    assert Caller(app, site.owner.project, "reader").patch(image_id, operation).status_code == 403
    assert Caller(app).patch(image_id, operation).status_code == 403
    private = site.owner.create(visibility="private")["id"]
    assert Caller(app).patch(private, operation).status_code == 404
    admin = Caller(app, None, "admin")
    assert admin.patch(private, operation).status_code == 200
    assert site.owner.patch(private, operation).status_code == 409
    assert site.done(private)["status"] == "active"


def test_an_image_has_no_more_places_than_it_may(tmp_path):
    url = f"sqlite:///{tmp_path}/imagesvc.sqlite"
    service = Several(tmp_path, url, f"{SHOWN}[limit]\nimage_locations = 1\n")
    owner = Caller(service.app)
    operation = ("add", "/locations/-", {"url": "http://192.0.2.1/", "metadata": {}})
    assert owner.patch(owner.active(), operation).status_code == 413
    service.close()
