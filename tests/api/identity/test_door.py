"""The identity door as clients use it, over the embedded identity."""

import secrets
import types

import pytest

from imagesvc.api import app as door
from tests.api.caller import Caller

PATH = "/v3/auth/tokens"


@pytest.fixture(scope="module")
def town(built):
    """The app, and the password and projects of the embedded identity."""
    password = secrets.token_hex(16)
    projects = {}
    for name, role in (("demo", "member"), ("other", "member"), ("admin", "admin")):
        projects[name] = built.identity.create_project(name)
        built.identity.create_user(name, password)
        built.identity.grant(name, name, role)
    return door.create_app(built), types.SimpleNamespace(password=password, projects=projects)


def _login(app, user, password, project=None, **scope):
    body = {
        "auth": {
            "identity": {
                "methods": ["password"],
                "password": {
                    "user": {"name": user, "domain": {"name": "Default"}, "password": password}
                },
            }
        }
    }
    if project:
        body["auth"]["scope"] = {"project": {"name": project, "domain": {"name": "Default"}}}
    if scope:
        body["auth"]["scope"] = scope
    return Caller(app, token="none").request("POST", PATH, body)


def _token(app, user, password, project):
    found = _login(app, user, password, project)
    assert found.status_code == 201, found.text
    return found.headers["X-Subject-Token"]


def test_discovery_needs_no_token(town):
    app, _ = town
    for path in ("/v3", "/v3/"):
        version = Caller(app, token="none").get(path).json["version"]
        assert (version["id"][:3], version["status"]) == ("v3.", "stable")
        assert version["links"][0]["href"].endswith("/v3/")


def test_a_login_gives_a_scoped_token_with_a_catalog(town):
    app, local = town
    found = _login(app, "demo", local.password, "demo")
    token = found.json["token"]
    assert found.status_code == 201
    assert token["methods"] == ["password"]
    assert (token["user"]["name"], token["project"]["name"]) == ("demo", "demo")
    assert "member" in {role["name"] for role in token["roles"]}
    assert {service["type"] for service in token["catalog"]} == {"image", "identity"}
    for service in token["catalog"]:
        assert {e["interface"] for e in service["endpoints"]} == {"public", "internal", "admin"}
        assert {e["region"] for e in service["endpoints"]} == {"RegionOne"}
    assert token["issued_at"] < token["expires_at"]
    caller = Caller(app, token=found.headers["X-Subject-Token"])
    assert caller.create()["owner"] == token["project"]["id"]


def test_wrong_logins_answer_alike(town):
    app, local = town
    found = [
        _login(app, "demo", "wrong", "demo"),
        _login(app, "nobody", local.password, "demo"),
        _login(app, "demo", local.password, "other"),
        _login(app, "demo", local.password, "nowhere"),
    ]
    assert {item.status_code for item in found} == {401}
    assert len({item.text for item in found}) == 1
    assert found[0].json["error"]["code"] == 401


@pytest.mark.parametrize(
    "auth",
    [
        {},
        {"identity": {}},
        {"identity": {"methods": ["password"]}},
        {"identity": {"methods": ["totp"], "totp": {}}},
        {"identity": {"methods": ["password"], "password": {"user": {"name": "demo"}}}},
        {"identity": {"methods": ["password"], "password": {"user": {"name": 1, "password": "x"}}}},
    ],
)
def test_a_malformed_login_is_400(town, auth):
    app, _ = town
    assert Caller(app, token="none").request("POST", PATH, {"auth": auth}).status_code == 400


def test_a_token_is_shown_and_revoked(town):
    app, local = town
    token = _token(app, "demo", local.password, "demo")
    caller = Caller(app, token=token)
    subject = {"X-Subject-Token": token}
    shown = caller.get(PATH, headers=subject)
    assert shown.status_code == 200
    assert shown.headers["X-Subject-Token"] == token
    assert shown.json["token"]["user"]["name"] == "demo"
    assert (
        "catalog"
        not in caller.get(f"{PATH}", headers=subject, query_string="nocatalog").json["token"]
    )
    head = caller.request("HEAD", PATH, headers=subject)
    assert (head.status_code, head.content) == (200, b"")
    assert caller.request("DELETE", PATH, headers=subject).status_code == 204
    assert caller.get("/v2/images").status_code == 401
    assert caller.get(PATH, headers=subject).status_code == 401


def test_another_user_s_token_is_not_shown(town):
    app, local = town
    theirs = {"X-Subject-Token": _token(app, "other", local.password, "other")}
    demo = Caller(app, token=_token(app, "demo", local.password, "demo"))
    admin = Caller(app, token=_token(app, "admin", local.password, "admin"))
    assert demo.get(PATH, headers=theirs).status_code == 404
    assert demo.request("DELETE", PATH, headers=theirs).status_code == 404
    assert admin.get(PATH, headers=theirs).status_code == 200
    assert Caller(app, token="none").get(PATH, headers=theirs).status_code == 401


def test_a_token_gives_another_scope(town):
    app, local = town
    token = _token(app, "demo", local.password, "demo")
    body = {"auth": {"identity": {"methods": ["token"], "token": {"id": token}}}}
    body["auth"]["scope"] = {"project": {"id": local.projects["demo"]}}
    found = Caller(app, token="none").request("POST", PATH, body)
    assert found.status_code == 201
    assert found.json["token"]["project"]["id"] == local.projects["demo"]
    body["auth"]["scope"] = {"project": {"id": local.projects["other"]}}
    assert Caller(app, token="none").request("POST", PATH, body).status_code == 401


def test_projects(town):
    app, local = town
    demo = Caller(app, token=_token(app, "demo", local.password, "demo"))
    admin = Caller(app, token=_token(app, "admin", local.password, "admin"))
    names = lambda found: {item["name"] for item in found.json["projects"]}  # noqa: E731
    assert names(demo.get("/v3/projects")) == {"demo"}
    assert names(demo.get("/v3/auth/projects")) == {"demo"}
    assert names(admin.get("/v3/projects")) >= {"demo", "other", "admin"}
    assert names(demo.get("/v3/projects", query_string="name=other")) == {"other"}
    assert names(demo.get("/v3/projects", query_string="name=nowhere")) == set()
    other = local.projects["other"]
    assert demo.get(f"/v3/projects/{other}").json["project"]["name"] == "other"
    assert demo.get("/v3/projects/other").status_code == 404
    assert demo.get("/v3/projects/nowhere").status_code == 404


def test_catalog_and_domains(town):
    app, local = town
    demo = Caller(app, token=_token(app, "demo", local.password, "demo"))
    assert {item["type"] for item in demo.get("/v3/auth/catalog").json["catalog"]} == {
        "image",
        "identity",
    }
    assert [item["id"] for item in demo.get("/v3/auth/domains").json["domains"]] == ["default"]


@pytest.mark.parametrize("path", ["/v3/auth/catalog", "/v3/auth/projects", "/v3/projects"])
def test_the_rest_needs_a_token(town, path):
    app, _ = town
    assert Caller(app, token="none").get(path).status_code == 401


def test_a_failed_login_is_in_the_trail_for_administrators_alone(town):
    app, local = town
    assert _login(app, "demo", "wrong" * 8).status_code == 401
    path = "/imagesvc/v1/audit?action=token:create"
    admin = Caller(app, token=_token(app, "admin", local.password, "admin"))
    event = admin.get(path).json["events"][0]
    assert (event["outcome"], event["target_id"]) == ("denied", "demo")
    assert event["detail"] == {"cause": "Unauthenticated", "remote": "127.0.0.1"}
    own = Caller(app, token=_token(app, "demo", local.password, "demo"))
    assert own.get(path).json["events"] == []
