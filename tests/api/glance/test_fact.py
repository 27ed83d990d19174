"""Documented facts that are columns: one thing, shown as properties by Glance."""

import pytest

from imagesvc import context
from imagesvc.domain.image_property import FACTS
from tests.api.caller import Caller

V20 = "application/openstack-images-v2.0-json-patch"


@pytest.fixture
def owner(app):
    return Caller(app)


def column(service, owner, image_id, name):
    ctx = context.RequestContext("u", owner.project, frozenset({"member"}))
    image = service.images.get(ctx, image_id)
    assert name not in image.properties
    return getattr(image, name)


@pytest.mark.parametrize("name", FACTS)
def test_a_fact_set_as_property_is_the_column_from_birth_to_removal(service, owner, name):
    image = owner.create(**{name: "one"})
    path = f"/v2/images/{image['id']}"
    assert image[name] == owner.get(path).json[name] == "one"
    assert column(service, owner, image["id"], name) == "one"
    changed = owner.patch(image["id"], ("replace", f"/{name}", "two"))
    assert (changed.status_code, changed.json[name]) == (200, "two")
    assert column(service, owner, image["id"], name) == "two"
    gone = owner.patch(image["id"], ("remove", f"/{name}"))
    assert gone.status_code == 200
    assert name not in gone.json
    assert column(service, owner, image["id"], name) is None
    assert owner.patch(image["id"], ("remove", f"/{name}")).status_code == 409
    assert owner.patch(image["id"], ("replace", f"/{name}", "x")).status_code == 409
    again = owner.patch(image["id"], ("add", f"/{name}", ""))
    assert again.json[name] == column(service, owner, image["id"], name) == ""


@pytest.mark.parametrize("name", FACTS)
def test_a_fact_is_a_filter(owner, name):
    one = owner.create(**{name: "one"})["id"]
    two = owner.create(**{name: "two", "color": "red"})["id"]
    owner.create()
    assert owner.listed(f"{name}=one") == [one]
    assert owner.listed(f"{name}=two&color=red") == [two]
    assert owner.listed(f"{name}=one&color=red") == []
    assert owner.listed(f"{name}=one&{name}=two") == []


@pytest.mark.parametrize("value", [None, 1, False, [], "x" * 65_536])
def test_a_fact_is_a_text_as_other_properties_are(owner, value):
    body = {"disk_format": "raw", "container_format": "bare", "os_type": value}
    assert owner.request("POST", "/v2/images", body).status_code == 400
    image_id = owner.create(os_type="linux")["id"]
    assert owner.patch(image_id, ("add", "/os_type", value)).status_code == 400
    assert owner.get(f"/v2/images/{image_id}").json["os_type"] == "linux"


def test_the_older_patch_does_not_overwrite_a_fact(owner):
    image_id = owner.create(os_type="linux")["id"]
    body = [{"add": "/os_type", "value": "windows"}]
    path = f"/v2/images/{image_id}"
    assert owner.request("PATCH", path, body, kind=V20).status_code == 409
    body = [{"add": "/architecture", "value": "x86_64"}]
    assert owner.request("PATCH", path, body, kind=V20).json["architecture"] == "x86_64"


def test_facts_count_as_the_properties_that_they_are_shown_as(owner):
    full = {f"p{number}": "x" for number in range(127)}
    image_id = owner.create(os_type="linux", **full)["id"]
    assert owner.patch(image_id, ("add", "/architecture", "x86_64")).status_code == 413
    swap = (("remove", "/p1"), ("add", "/architecture", "x86_64"))
    assert owner.patch(image_id, *swap).status_code == 200
    body = {**full, "os_type": "linux", "architecture": "x86_64"}
    assert owner.request("POST", "/v2/images", body).status_code == 413


def test_a_property_of_that_name_in_a_patch_with_others_is_all_or_nothing(service, owner):
    image_id = owner.create(os_type="linux")["id"]
    failed = owner.patch(image_id, ("add", "/os_type", "windows"), ("remove", "/none"))
    assert failed.status_code == 409
    assert column(service, owner, image_id, "os_type") == "linux"
