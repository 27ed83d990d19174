"""X-Service-Token: the service behind a request is proved, recorded, and gives no rights away."""

import json

import pytest
from oslo_policy import policy

from imagesvc import context
from imagesvc.api import app as door
from imagesvc.interface.identity import LoginScope
from imagesvc.policy.check import Enforcer
from tests.api.caller import Caller

NOVA = {"X-Service-Token": "nova/services/service"}


@pytest.fixture
def owner(app):
    return Caller(app)


def test_the_service_that_acts_for_a_user_stands_in_the_trail(owner):
    body = {"disk_format": "raw", "container_format": "bare"}
    made = owner.request("POST", "/v2/images", body, headers=NOVA)
    assert made.status_code == 201
    path = f"/imagesvc/v1/audit?target_id={made.json['id']}"
    event = owner.get(path).json["events"][0]
    assert event["user_id"] == f"u{owner.project}"
    assert event["detail"]["service_user_id"] == "nova"
    own = owner.create()["id"]
    event = owner.get(f"/imagesvc/v1/audit?target_id={own}").json["events"][0]
    assert "service_user_id" not in event["detail"]


@pytest.mark.parametrize("token", ["", "nonsense"])
def test_a_service_token_that_is_not_valid_is_401(owner, token):
    found = owner.get("/v2/images", headers={"X-Service-Token": token})
    assert found.status_code == 401
    assert "WWW-Authenticate" in found.headers


def test_a_service_token_alone_is_nobody(app):
    found = Caller(app, token="none").get("/v2/images", headers=NOVA)
    assert found.status_code == 401


@pytest.mark.parametrize("roles", ["service", "admin", "admin,service,member"])
def test_the_roles_of_the_service_are_not_the_users(app, owner, roles):
    stranger, reader = Caller(app), Caller(app, owner.project, "reader")
    image_id = owner.active()
    headers = {"X-Service-Token": f"nova/services/{roles}"}
    path = f"/v2/images/{image_id}"
    assert stranger.get(path, headers=headers).status_code == 404
    assert reader.get(path, headers=headers).status_code == 200
    assert reader.get(f"{path}/file", headers=headers).status_code == 403
    assert reader.request("DELETE", path, headers=headers).status_code == 403


def test_a_service_reads_locations_of_what_its_user_sees_and_adds_to_what_its_user_owns(app, owner):
    private = owner.active(visibility="private")
    by_nova = Caller(app, owner.project, "reader", service=NOVA["X-Service-Token"])
    path = f"/v2/images/{private}/locations"
    assert by_nova.get(path).status_code == 200
    for service in (None, "nova/services/member", "nova/services/admin"):
        assert Caller(app, owner.project, "reader", service=service).get(path).status_code == 403
    stranger = Caller(app, service=NOVA["X-Service-Token"])
    assert stranger.get(path).status_code == 404
    body = {"url": "file:///etc/passwd"}
    queued = owner.create(visibility="community")["id"]
    for caller, image_id, status in ((by_nova, queued, 403), (stranger, queued, 403)):
        found = caller.request("POST", f"/v2/images/{image_id}/locations", body)
        assert found.status_code == status
        allowed = "Only locations that the service may fetch" in found.text
        assert allowed == (caller is by_nova)


def test_a_rule_may_ask_for_the_roles_of_the_service(conf):
    enforcer = Enforcer(conf)
    enforcer._enforcer.register_default(policy.RuleDefault("test:service", "service_roles:service"))
    user = context.RequestContext("u", "p", frozenset({"member", "service"}))
    assert not enforcer.allows(user, "test:service")
    sent = context.RequestContext("u", "p", service_roles=frozenset({"service"}))
    assert enforcer.allows(sent, "test:service")


def test_the_embedded_identity_checks_both_tokens(built):
    driver = built.identity
    password = "long enough a password"
    tokens = {}
    for name, role in (("service-token-user", "member"), ("service-token-nova", "service")):
        driver.create_project(name)
        driver.create_user(name, password)
        driver.grant(name, name, role)
        scope = LoginScope(project_name=name, domain="default")
        tokens[role] = driver.login(name, password, scope).token
    caller = Caller(door.create_app(built), token=tokens["member"])
    headers = {"X-Service-Token": tokens["service"]}
    assert caller.get("/v2/images", headers=headers).status_code == 200
    driver.revoke(tokens["service"])
    refused = caller.get("/v2/images", headers=headers)
    assert refused.status_code == 401
    assert tokens["service"] not in json.dumps(dict(refused.headers)) + refused.text
