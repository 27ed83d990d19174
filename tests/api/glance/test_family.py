"""Families in the Glance dialect: properties that are columns, and the newest image as a filter."""

import pytest

from tests.api.caller import Caller

FAMILY, VERSION, DEPRECATED = "imagesvc_family", "imagesvc_family_version", "imagesvc_deprecated_at"


@pytest.fixture
def owner(app):
    return Caller(app)


def test_family_and_version_are_given_at_birth_and_shown(owner):
    image = owner.create(**{FAMILY: "debian-13", VERSION: "20260101-1"})
    shown = owner.get(f"/v2/images/{image['id']}").json
    assert (shown[FAMILY], shown[VERSION]) == ("debian-13", "20260101-1")
    assert DEPRECATED not in shown


def test_they_are_added_replaced_and_removed(owner):
    image_id = owner.create()["id"]
    assert owner.patch(image_id, ("add", f"/{FAMILY}", "a")).json[FAMILY] == "a"
    assert owner.patch(image_id, ("replace", f"/{FAMILY}", "b")).json[FAMILY] == "b"
    told = owner.patch(image_id, ("add", f"/{DEPRECATED}", "2026-01-01T00:00:00+02:00"))
    assert told.json[DEPRECATED] == "2025-12-31T22:00:00Z"
    gone = owner.patch(image_id, ("remove", f"/{FAMILY}"), ("remove", f"/{DEPRECATED}"))
    assert gone.status_code == 200
    assert FAMILY not in gone.json
    assert DEPRECATED not in gone.json


@pytest.mark.parametrize(
    ("name", "value"),
    [(FAMILY, "Debian 13"), (FAMILY, 3), (VERSION, "a b"), (DEPRECATED, "soon"), (DEPRECATED, 5)],
)
def test_wrong_words_are_refused_with_a_reason(owner, name, value):
    body = {name: value}
    assert owner.request("POST", "/v2/images", body).status_code == 400
    assert owner.patch(owner.create()["id"], ("add", f"/{name}", value)).status_code == 400


def test_a_filter_finds_a_family_and_a_version(owner):
    one = owner.create(**{FAMILY: "a", VERSION: "1"})["id"]
    two = owner.create(**{FAMILY: "a", VERSION: "2"})["id"]
    owner.create(**{FAMILY: "b", VERSION: "1"})
    assert set(owner.listed(f"{FAMILY}=a")) == {one, two}
    assert owner.listed(f"{FAMILY}=a&{VERSION}=2") == [two]


def test_the_newest_of_a_family_is_one_image(owner):
    owner.active(**{FAMILY: "a", VERSION: "20260101-9"})
    ten = owner.active(**{FAMILY: "a", VERSION: "20260101-10"})
    assert owner.listed(f"{FAMILY}=a&imagesvc_newest=true") == [ten]
    assert len(owner.listed(f"{FAMILY}=a&imagesvc_newest=false")) == 2
    assert owner.listed(f"{FAMILY}=none&imagesvc_newest=true") == []
    assert Caller(owner.client.app).listed(f"{FAMILY}=a&imagesvc_newest=true") == []


@pytest.mark.parametrize("query", ["imagesvc_newest=true", f"{FAMILY}=a&imagesvc_newest=maybe"])
def test_the_newest_of_nothing_is_a_bad_request(owner, query):
    assert owner.get("/v2/images", query_string=query).status_code == 400
