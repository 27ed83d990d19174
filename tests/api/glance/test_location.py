"""Locations: who is told where the bytes of an image are, and what a URL of ours says."""

import json

import pytest

from tests.api.caller import Caller
from tests.api.glance.test_store import place

ABSENT = "00000000-0000-4000-8000-000000000000"
SHOWN = "[image]\nshow_image_direct_url = true\nshow_multiple_locations = true\n"


@pytest.fixture
def owner(several):
    return Caller(several.app)


@pytest.fixture
def copied(several, owner):
    """An image in two stores, first in the one that is read last."""
    image_id = owner.create()["id"]
    assert owner.upload(image_id, **{"X-Image-Meta-Store": "archive"}).status_code == 204
    place(several, image_id, "fast")
    return image_id


@pytest.fixture
def settings():
    """The operator shows locations to everyone."""
    return SHOWN


def key_in(several, store_id, image_id):
    """The key of an image in a store."""
    (key,) = [key for key in several.keys(store_id) if key.startswith(image_id)]
    return key


def listed(several, image_id, store_ids):
    """What the list of locations must be."""
    return [
        {
            "url": f"imagesvc+file://{one}/{key_in(several, one, image_id)}",
            "metadata": {"store": one},
        }
        for one in store_ids
    ]


@pytest.mark.parametrize("role", ["admin", "service"])
def test_administrators_and_services_read_locations_in_the_order_they_came(several, copied, role):
    found = Caller(several.app, None, role).get(f"/v2/images/{copied}/locations")
    assert found.status_code == 200
    assert found.json == listed(several, copied, ["archive", "fast"])


@pytest.mark.parametrize("role", ["member", "reader", "manager"])
def test_the_owner_reads_no_locations(several, owner, copied, role):
    caller = Caller(several.app, owner.project, role)
    assert caller.get(f"/v2/images/{copied}/locations").status_code == 403


def test_locations_tell_nothing_of_images_that_are_not_there(several, copied):
    stranger, admin = Caller(several.app), Caller(several.app, None, "admin")
    assert stranger.get(f"/v2/images/{copied}/locations").status_code == 404
    assert admin.get(f"/v2/images/{ABSENT}/locations").status_code == 404


def test_an_image_without_bytes_has_no_locations(several, owner):
    image_id = owner.create()["id"]
    found = Caller(several.app, None, "admin").get(f"/v2/images/{image_id}/locations")
    assert (found.status_code, found.json) == (200, [])


def test_nobody_reads_locations_without_a_token(several, copied):
    path = f"/v2/images/{copied}/locations"
    assert Caller(several.app, token="none").get(path).status_code == 401


def test_a_location_names_no_folder_and_no_option_of_its_store(several, copied):
    found = Caller(several.app, None, "admin").get(f"/v2/images/{copied}/locations")
    assert str(several.folder) not in found.text


def test_images_show_no_location_unless_the_operator_wants_it(several, owner, copied):
    admin = Caller(several.app, None, "admin")
    shown = admin.get(f"/v2/images/{copied}").json
    (in_list,) = owner.get("/v2/images", query_string=f"id={copied}").json["images"]
    for image in (shown, in_list, owner.create()):
        assert not {"direct_url", "locations"} & image.keys()


def test_images_show_locations_where_the_operator_wants_it(own):
    owner = Caller(own.app)
    image_id = owner.create()["id"]
    assert owner.upload(image_id, **{"X-Image-Meta-Store": "archive"}).status_code == 204
    place(own, image_id, "fast")
    bare = owner.create()
    expected = listed(own, image_id, ["archive", "fast"])
    shown = owner.get(f"/v2/images/{image_id}").json
    in_list = {one["id"]: one for one in owner.get("/v2/images").json["images"]}
    for image in (shown, in_list[image_id], owner.patch(image_id, ("add", "/a", "b")).json):
        assert image["locations"] == expected
        assert image["direct_url"] == expected[1]["url"]  # the store that is read first
    for image in (bare, in_list[bare["id"]]):
        assert image["locations"] == []
        assert "direct_url" not in image
    assert str(own.folder) not in json.dumps(shown)


def test_locations_stay_closed_to_owners_where_images_show_them(own):
    owner = Caller(own.app)
    assert owner.get(f"/v2/images/{owner.active()}/locations").status_code == 403


@pytest.mark.parametrize(
    "operation",
    [
        ("add", "/locations/-", {"url": "http://192.0.2.1/x", "metadata": {}}),
        ("add", "/locations/0", {"url": "http://192.0.2.1/x", "metadata": {}}),
        ("replace", "/locations", []),
        ("remove", "/locations/0"),
        ("replace", "/direct_url", "http://192.0.2.1/x"),
    ],
)
def test_no_patch_changes_locations_that_images_do_not_show(several, operation):
    owner = Caller(several.app)
    image_id = owner.active()
    assert owner.patch(image_id, operation).status_code == 403
    admin = Caller(several.app, owner.project, "admin")
    assert admin.patch(image_id, operation).status_code == 403
    assert owner.get(f"/v2/images/{image_id}/file").content == b"x" * 1000
