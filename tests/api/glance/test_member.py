"""Sharing: the life of a member."""

import pytest

from tests.api.caller import Caller


@pytest.fixture
def trio(app):
    owner, member, other = Caller(app), Caller(app), Caller(app)
    return owner, member, other, owner.active(visibility="shared")


def _path(image_id, member=None):
    return f"/v2/images/{image_id}/members" + (f"/{member}" if member else "")


def test_the_life_of_a_member(trio):
    owner, member, _, image_id = trio
    found = owner.request("POST", _path(image_id), {"member": member.project})
    body = found.json
    assert found.status_code == 200
    assert (body["member_id"], body["image_id"], body["status"]) == (
        member.project,
        image_id,
        "pending",
    )
    assert body["schema"] == "/v2/schemas/member"
    assert member.get(f"/v2/images/{image_id}").status_code == 200
    assert image_id not in member.listed()
    for status, listed in (
        ("accepted", True),
        ("rejected", False),
        ("accepted", True),
        ("pending", False),
    ):
        found = member.request("PUT", _path(image_id, member.project), {"status": status})
        assert (found.status_code, found.json["status"]) == (200, status)
        assert (image_id in member.listed()) is listed
        assert owner.get(_path(image_id, member.project)).json["status"] == status
    assert owner.request("DELETE", _path(image_id, member.project)).status_code == 204
    assert member.get(f"/v2/images/{image_id}").status_code == 404
    assert owner.request("DELETE", _path(image_id, member.project)).status_code == 404


def test_who_sees_which_members(trio):
    owner, member, other, image_id = trio
    owner.share(image_id, member.project)
    owner.share(image_id, "third")
    found = owner.get(_path(image_id)).json
    assert {m["member_id"] for m in found["members"]} == {member.project, "third"}
    assert found["schema"] == "/v2/schemas/members"
    assert [m["member_id"] for m in member.get(_path(image_id)).json["members"]] == [member.project]
    assert member.get(_path(image_id, "third")).status_code == 404
    assert other.get(_path(image_id)).status_code == 404
    assert other.get(_path(image_id, member.project)).status_code == 404


def test_a_stray_parameter_is_ignored(trio):
    owner, member, _, image_id = trio
    owner.share(image_id, member.project)
    found = owner.get(_path(image_id, member.project), query_string=f"image_id={image_id}")
    assert found.status_code == 200


@pytest.mark.parametrize(
    "body",
    [{}, {"member": ""}, {"member": None}, {"member": 1}, {"member": "m" * 256}, {"member": "a/b"}],
)
def test_a_member_must_be_named(trio, body):
    owner, _, _, image_id = trio
    assert owner.request("POST", _path(image_id), body).status_code == 400


def test_a_member_is_added_once(trio):
    owner, member, _, image_id = trio
    owner.share(image_id, member.project)
    assert owner.request("POST", _path(image_id), {"member": member.project}).status_code == 409


def test_the_owner_may_offer_to_itself(trio):
    owner, _, _, image_id = trio
    assert owner.request("POST", _path(image_id), {"member": owner.project}).status_code == 200


@pytest.mark.parametrize("status", ["maybe", "", None, 1, "ACCEPTED"])
def test_an_answer_must_be_one_of_three(trio, status):
    owner, member, _, image_id = trio
    owner.share(image_id, member.project)
    found = member.request("PUT", _path(image_id, member.project), {"status": status})
    assert found.status_code == 400


@pytest.mark.parametrize("visibility", ["private", "community"])
def test_only_shared_images_have_members(app, visibility):
    owner = Caller(app)
    image_id = owner.create(visibility=visibility)["id"]
    assert owner.request("POST", _path(image_id), {"member": "m"}).status_code == 403
    assert owner.get(_path(image_id)).status_code == 403


def test_a_member_may_not_offer_on(trio):
    owner, member, _, image_id = trio
    owner.share(image_id, member.project, "accepted")
    assert member.request("POST", _path(image_id), {"member": "m"}).status_code == 403
    assert member.request("DELETE", _path(image_id, member.project)).status_code == 403


def test_members_are_limited(app):
    owner = Caller(app)
    image_id = owner.create()["id"]
    for number in range(128):
        owner.share(image_id, f"m{number}")
    assert owner.request("POST", _path(image_id), {"member": "one-more"}).status_code == 413


def test_members_come_back_when_an_image_is_shared_again(trio):
    owner, member, _, image_id = trio
    owner.share(image_id, member.project, "accepted")
    owner.patch(image_id, ("replace", "/visibility", "private"))
    assert member.get(f"/v2/images/{image_id}").status_code == 404
    owner.patch(image_id, ("replace", "/visibility", "shared"))
    assert image_id in member.listed()
