"""Why a project can or cannot see, use or change an image: what is said is what happens."""

import pytest

from tests.api.caller import Caller

ROOT = "/imagesvc/v1"


@pytest.fixture
def owner(each_app):
    """A member of a project of its own."""
    return Caller(each_app)


def explained(caller, image_id, project, roles="member"):
    """Action -> verdict."""
    found = caller.get(
        f"{ROOT}/images/{image_id}/explain", query_string=f"project={project}&roles={roles}"
    )
    assert found.status_code == 200, found.text
    assert found.json["explanation"]["project_id"] == project
    return {one["action"]: one for one in found.json["explanation"]["verdicts"]}


@pytest.mark.parametrize("visibility", ["private", "shared", "community", "public"])
@pytest.mark.parametrize("offer", [None, "pending", "accepted", "rejected"])
@pytest.mark.parametrize("role", ["reader", "member"])
def test_what_is_said_is_what_happens(each_app, owner, visibility, offer, role):
    admin = Caller(each_app, owner.project, "admin", "member")
    image_id = owner.active(visibility="shared")
    other = Caller(each_app, None, role)
    if offer:
        owner.share(image_id, other.project, None if offer == "pending" else offer)
    assert admin.patch(image_id, ("replace", "/visibility", visibility)).status_code == 200
    told = explained(owner, image_id, other.project, role)
    path = f"/v2/images/{image_id}"
    happens = {
        "see": other.get(path).status_code == 200,
        "list": image_id in other.listed("limit=1000"),
        "image_file:download": other.get(f"{path}/file").status_code == 200,
        "image:update": other.patch(image_id, ("replace", "/name", "x")).status_code == 200,
        "member:add": other.request("POST", f"{path}/members", {"member": "p"}).status_code == 200,
        "image:delete": other.request("DELETE", path).status_code == 204,
    }
    assert {name: told[name]["allowed"] for name in happens} == happens, told
    assert all(one["cause"] for one in told.values())


def test_the_owner_learns_what_stands_against_a_use(owner):
    project = owner.project
    queued = owner.create()["id"]
    assert explained(owner, queued, project)["image_file:download"]["cause"] == (
        "the image is queued: it has no bytes"
    )
    kept = owner.active(protected=True)
    told = explained(owner, kept, project)
    assert (told["image:delete"]["allowed"], told["image:delete"]["cause"]) == (
        False, "the image is protected",
    )  # fmt: skip
    assert told["image:update"]["rule"]
    owner.request("POST", f"/v2/images/{kept}/actions/deactivate")
    assert explained(owner, kept, project)["server:create"]["cause"] == "the image is deactivated"


def test_a_project_without_the_key_of_an_encrypted_image_is_told(each_app, owner):
    key_id = owner.request("POST", f"{ROOT}/key", {"name": "k"}).json["key"]["id"]
    image_id = owner.active(imagesvc_key_id=key_id)
    assert explained(owner, image_id, owner.project)["image:copy"]["allowed"]
    told = explained(owner, image_id, "another", "admin,member")
    assert (told["see"]["allowed"], told["image_file:download"]["allowed"]) == (True, False)
    assert "no key that opens it" in told["image_file:download"]["cause"]


def test_nobody_else_learns_that_the_image_is_there(each_app, owner):
    private, open_ = owner.active(), owner.active(visibility="community")
    stranger = Caller(each_app)
    path = f"{ROOT}/images/{{}}/explain"
    query = f"project={stranger.project}"
    assert stranger.get(path.format(private), query_string=query).status_code == 404
    assert stranger.get(path.format(open_), query_string=query).status_code == 403
    assert owner.get(path.format(private)).status_code == 400
