"""The door with real tokens of a real Keystone: roles, service tokens, and Keystone's absence."""

import dataclasses

import pytest

from imagesvc.api import app as door
from imagesvc.testing.conformance.options import options_of
from imagesvc_drivers.identity.keystone import KeystoneIdentity
from tests.api import permission_matrix
from tests.api.caller import Caller
from tests.api.permission_matrix import Outcome
from tests.keystone_server import PASSWORD, KeystoneServer
from tests.poll import until

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("keystone")]
REQUESTS = {
    "R": ("GET", "", 200),
    "D": ("GET", "/file", 200),
    "M": ("PUT", "/tags/t", 204),
    "S": ("DELETE", "/members/offered", 204),
}
STATUS = {Outcome.FORBIDDEN: 403, Outcome.ABSENT: 404}


def opened(service, server, **more):
    """The application with Keystone as its identity."""
    values = {
        "auth_url": server.url, "username": server.service_user, "password": PASSWORD,
        "timeout_s": 60, **more,
    }  # fmt: skip
    driver = KeystoneIdentity(options_of(KeystoneIdentity, values), backend_id="keystone")
    driver.open()
    return driver, door.create_app(dataclasses.replace(service, identity=driver))


@pytest.fixture(scope="module")
def keystone_app(built, keystone_server):
    driver, app = opened(built, keystone_server)
    yield app
    driver.close()


class People:
    """A caller for each role in each project of the matrix."""

    def __init__(self, app, server):
        self._app, self._server = app, server
        self._projects, self._callers = {}, {}

    def of(self, side, *roles):
        """The caller with these roles in the project of a side."""
        if side not in self._projects:
            self._projects[side] = self._server.project()
        if (side, roles) not in self._callers:
            project = self._projects[side]
            token = self._server.token(self._server.user(project, *roles), project)
            self._callers[side, roles] = Caller(self._app, project, token=token)
        return self._callers[side, roles]


@pytest.fixture(scope="module")
def people(keystone_app, keystone_server):
    return People(keystone_app, keystone_server)


def image(people, visibility):
    """An active image with every kind of project around it."""
    owner = people.of("owner", "member")
    image_id = owner.active(visibility="shared")
    path = f"/v2/images/{image_id}/members"
    for side, status in (("accepted", "accepted"), ("rejected", "rejected"), ("pending", None)):
        member = people.of(side, "member")
        owner.share(image_id, member.project)
        if status:
            found = member.request("PUT", f"{path}/{member.project}", {"status": status})
            assert found.status_code == 200, found.text
    owner.share(image_id, "offered")
    if visibility != "shared":
        admin = people.of("other", "admin")
        found = admin.patch(image_id, ("replace", "/visibility", visibility))
        assert found.status_code == 200, found.text
    return image_id


@pytest.mark.parametrize("visibility", permission_matrix.VISIBILITIES)
@pytest.mark.parametrize("row", permission_matrix.MATRIX, ids=lambda row: row.name)
def test_real_tokens_get_what_the_matrix_says(people, row, visibility):
    image_id = image(people, visibility)
    cell = row.cells[permission_matrix.VISIBILITIES.index(visibility)]
    caller = people.of(row.side, *row.roles)
    if row.service:
        token = people.of("services", *row.service).token
        caller = Caller(caller.client.app, caller.project, token=caller.token, service=token)
    if row.service and "service" not in row.service:
        assert caller.get(f"/v2/images/{image_id}").status_code == 401
        return
    for letter, (method, below, done) in REQUESTS.items():
        outcome = permission_matrix.outcome(cell, letter)
        expected = STATUS.get(outcome, done)
        if outcome is Outcome.DONE and letter == "S" and visibility != "shared":
            expected = 403  # in this dialect only shared images have members
        found = caller.request(method, f"/v2/images/{image_id}{below}")
        assert found.status_code == expected, (letter, found.text)


def test_a_manager_may_what_a_member_may(people):
    manager = people.of("owner", "manager")
    image_id = manager.active()
    assert manager.get(f"/v2/images/{image_id}/file").status_code == 200
    assert manager.request("POST", "/v2/images", {"visibility": "public"}).status_code == 403
    assert manager.request("DELETE", f"/v2/images/{image_id}").status_code == 204


def test_nobody_is_told_where_keystone_is(keystone_app, keystone_server):
    for token in ("", "nonsense", "gAAAA" + "x" * 150):
        found = Caller(keystone_app, token=token or " ").get("/v2/images")
        assert found.status_code == 401
        assert found.headers["WWW-Authenticate"] == f'Keystone uri="{keystone_server.url}"'


def test_forged_findings_of_another_middleware_mean_nothing(people):
    reader = people.of("other", "reader")
    headers = {
        "X-Roles": "admin", "X-Identity-Status": "Confirmed", "X-Project-Id": "p",
        "X-Service-Roles": "service", "X-Service-Identity-Status": "Confirmed", "X-User-Id": "u",
    }  # fmt: skip
    found = reader.request("POST", "/v2/images", {}, headers=headers)
    assert found.status_code == 403
    assert reader.get("/imagesvc/v1/backends", headers=headers).status_code == 403


def test_a_service_token_needs_the_role(people):
    user, service = people.of("owner", "member"), people.of("other", "service")
    made = user.request("POST", "/v2/images", {}, headers={"X-Service-Token": service.token})
    assert made.status_code == 201
    path = f"/imagesvc/v1/audit?target_id={made.json['id']}"
    assert user.get(path).json["events"][0]["detail"]["service_user_id"]
    refused = user.get("/v2/images", headers={"X-Service-Token": "nonsense"})
    assert refused.status_code == 401


@pytest.mark.parametrize("path", ["/v3", "/v3/auth/tokens", "/v3/projects", "/v3/auth/catalog"])
def test_the_embedded_identity_has_no_door_beside_keystone(keystone_app, people, path):
    caller = people.of("owner", "member")
    for method in ("GET", "POST"):
        assert caller.request(method, path, {} if method == "POST" else None).status_code == 404


def test_keystone_away_is_503_and_then_right_again(built):
    server = KeystoneServer()
    try:
        server.start()
        driver, app = opened(built, server, token_cache_s=60)
        project = server.project()
        user = server.user(project, "member")
        kept, other = (Caller(app, project, token=server.token(user, project)) for _ in range(2))
        assert kept.get("/v2/images").status_code == 200
        server.stop()
        for _ in range(5):
            found = other.get("/v2/images")
            assert found.status_code == 503
            assert found.headers["Retry-After"]
            assert "WWW-Authenticate" not in found.headers
            assert kept.get("/v2/images").status_code == 200
        server.start()
        until(lambda: other.get("/v2/images").status_code == 200)
        driver.close()
    finally:
        server.remove()
