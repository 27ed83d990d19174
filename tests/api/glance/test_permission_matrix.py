"""The permission matrix through the Glance dialect."""

import pytest

from tests.api import permission_matrix
from tests.api.caller import OCTETS, Caller
from tests.api.permission_matrix import Outcome

STATUS = {Outcome.FORBIDDEN: 403, Outcome.ABSENT: 404}
# letter -> (method, path below the image, body, media type, status when it is done)
REQUESTS = {
    "R": [("GET", "", None, None, 200), ("GET", "/tasks", None, None, 200)],
    "D": [("GET", "/file", None, None, 200)],
    "M": [
        ("PATCH", "", [{"op": "add", "path": "/a", "value": "b"}], "patch", 200),
        ("PUT", "/tags/t", None, None, 204),
        ("DELETE", "/tags/kept", None, None, 204),
        ("PUT", "/file", b"y", OCTETS, 409),
        ("PUT", "/stage", b"y", OCTETS, 409),
        ("POST", "/actions/deactivate", None, None, 204),
        ("POST", "/actions/reactivate", None, None, 204),
        ("DELETE", "", None, None, 204),
    ],
    "S": [
        ("POST", "/members", {"member": "new"}, None, 200),
        ("DELETE", "/members/offered", None, None, 204),
    ],
}
CASES = [
    pytest.param(
        caller,
        visibility,
        request,
        outcome,
        id=f"{caller.name}-{visibility}-{request[0]}{request[1]}",
    )
    for caller, visibility, letter, outcome in permission_matrix.cases()
    for request in REQUESTS[letter]
]


class World:
    """One image with every kind of project around it."""

    def __init__(self, app, visibility):
        self.app = app
        self.sides = {
            side: Caller(app) for side in ("owner", "accepted", "pending", "rejected", "other")
        }
        owner = self.sides["owner"]
        self.image_id = owner.active(tags=["kept"], visibility="shared")
        owner.share(self.image_id, self.sides["accepted"].project, "accepted")
        owner.share(self.image_id, self.sides["rejected"].project, "rejected")
        owner.share(self.image_id, self.sides["pending"].project)
        owner.share(self.image_id, "offered")
        if visibility != "shared":
            admin = Caller(app, None, "admin")
            found = admin.patch(self.image_id, ("replace", "/visibility", visibility))
            assert found.status_code == 200, found.text

    def caller(self, row):
        """The caller of a row."""
        service = f"nova/services/{','.join(row.service)}" if row.service else None
        return Caller(self.app, self.sides[row.side].project, *row.roles, service=service)


@pytest.mark.parametrize(("row", "visibility", "request_row", "outcome"), CASES)
def test_a_caller_gets_what_the_matrix_says(app, row, visibility, request_row, outcome):
    method, below, body, kind, done = request_row
    world = World(app, visibility)
    path = f"/v2/images/{world.image_id}{below}"
    if kind == "patch":
        kind = "application/openstack-images-v2.1-json-patch"
    found = world.caller(row).request(method, path, body, kind=kind)
    expected = STATUS.get(outcome, done)
    if outcome is Outcome.DONE and below.startswith("/members") and visibility != "shared":
        expected = 403  # in this dialect only shared images have members
    assert found.status_code == expected, found.text


@pytest.mark.parametrize("visibility", permission_matrix.VISIBILITIES)
@pytest.mark.parametrize("row", permission_matrix.MATRIX, ids=lambda row: row.name)
def test_locations_are_told_to_services_and_administrators_that_see_the_image(app, row, visibility):
    world = World(app, visibility)
    cell = row.cells[permission_matrix.VISIBILITIES.index(visibility)]
    expected = 200 if row.name in permission_matrix.TOLD_LOCATIONS else 403
    found = world.caller(row).get(f"/v2/images/{world.image_id}/locations")
    assert found.status_code == (expected if cell else 404), found.text


@pytest.mark.parametrize("visibility", permission_matrix.VISIBILITIES)
@pytest.mark.parametrize(
    "row",
    [r for r in permission_matrix.MATRIX if permission_matrix.LISTED[r.name] is not None],
    ids=lambda row: row.name,
)
def test_the_default_list_holds_what_the_matrix_says(app, row, visibility):
    world = World(app, visibility)
    listed = world.image_id in world.caller(row).listed("limit=1000")
    assert listed == (visibility in permission_matrix.LISTED[row.name])


@pytest.mark.parametrize("visibility", permission_matrix.VISIBILITIES)
@pytest.mark.parametrize("requests", REQUESTS.values(), ids=REQUESTS)
def test_nobody_does_anything_without_a_token(app, visibility, requests):
    world = World(app, visibility)
    nobody = Caller(app, token="none")
    for method, below, _body, _kind, _done in requests:
        found = nobody.request(method, f"/v2/images/{world.image_id}{below}")
        assert found.status_code == 401
        assert found.headers["WWW-Authenticate"].startswith("Keystone uri=")


@pytest.mark.parametrize("side", ["accepted", "pending", "rejected"])
def test_a_member_answers_for_itself_alone(app, side):
    world = World(app, "shared")
    member, path = world.sides[side], f"/v2/images/{world.image_id}/members"
    for status in ("rejected", "pending", "accepted"):
        found = member.request("PUT", f"{path}/{member.project}", {"status": status})
        assert (found.status_code, found.json["status"]) == (200, status)
    assert member.request("PUT", f"{path}/offered", {"status": "accepted"}).status_code == 404
    owner = world.sides["owner"]
    found = owner.request("PUT", f"{path}/{member.project}", {"status": "accepted"})
    assert found.status_code == 403


@pytest.mark.parametrize("how", ["create", "patch"])
@pytest.mark.parametrize("role", ["reader", "member", "admin", "service"])
def test_only_an_administrator_makes_an_image_public(app, how, role):
    owner = Caller(app)
    caller = Caller(app, owner.project, role)
    if how == "create":
        found = caller.request("POST", "/v2/images", {"visibility": "public"})
    else:
        found = caller.patch(owner.create()["id"], ("replace", "/visibility", "public"))
    assert found.status_code == (403 if role != "admin" else 201 if how == "create" else 200)


def test_an_absent_and_a_foreign_image_answer_alike(app):
    foreign = Caller(app).active(visibility="private")
    absent = "00000000-0000-4000-8000-000000000000"
    caller = Caller(app)
    for requests in REQUESTS.values():
        for method, below, body, kind, _done in requests:
            kind = "application/openstack-images-v2.1-json-patch" if kind == "patch" else kind
            one, two = (
                caller.request(method, f"/v2/images/{image_id}{below}", body, kind=kind)
                for image_id in (foreign, absent)
            )
            assert one.status_code == two.status_code == 404
            assert one.text.replace(foreign, absent) == two.text
