"""Secrets that are sent through the door do not reach the log."""

import io
import json
import logging
import secrets

import pytest
from falcon import testing

from imagesvc.api import app as door
from imagesvc.cmd import log


@pytest.fixture(params=[log.TextFormatter, log.JsonFormatter])
def written(request):
    """The log of this process, down to DEBUG."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(request.param())
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield stream
    root.setLevel(level)
    root.removeHandler(handler)


@pytest.fixture
def client(built):
    """The app over the embedded identity."""
    return testing.TestClient(door.create_app(built))


def login(client, name, password):
    """Ask for a token."""
    user = {"name": name, "domain": {"id": "default"}, "password": password}
    scope = {"project": {"name": name, "domain": {"id": "default"}}}
    identity = {"methods": ["password"], "password": {"user": user}}
    return client.simulate_post(
        "/v3/auth/tokens", json={"auth": {"identity": identity, "scope": scope}}
    )


def test_no_secret_that_is_sent_or_given_is_written(built, client, written):
    name = f"u{secrets.token_hex(4)}"
    password, wrong, forged = (secrets.token_hex(16) for _ in range(3))
    built.identity.create_project(name)
    built.identity.create_user(name, password)
    built.identity.grant(name, name, "member")
    assert login(client, name, wrong).status_code == 401
    given = login(client, name, password)
    assert given.status_code == 201
    token = given.headers["x-subject-token"]
    headers = {"X-Auth-Token": token, "Authorization": f"Bearer {forged}", "Cookie": f"s={forged}"}
    assert client.simulate_get("/v2/images", headers=headers).status_code == 200
    assert client.simulate_get("/v2/images", headers={"X-Auth-Token": forged}).status_code == 401
    assert client.simulate_get(f"/v2/images?token={forged}&marker=x", headers=headers)
    path = "/imagesvc/v1/signed/00000000-0000-4000-8000-000000000000/0"
    found = client.simulate_get(path, query_string=f"expires=9999999999&signature={forged}")
    assert found.status_code >= 400
    text = written.getvalue()
    assert text.count("imagesvc.access") >= 6
    for secret in (password, wrong, forged, token):
        assert secret not in text


def test_a_request_is_one_line_with_its_id(client, written):
    answer = client.simulate_get("/healthcheck")
    lines = [line for line in written.getvalue().splitlines() if "imagesvc.access" in line]
    assert len(lines) == 1
    assert answer.headers["x-openstack-request-id"] in lines[0]
    if lines[0].startswith("{"):
        facts = json.loads(lines[0])["facts"]
        assert facts["method"] == "GET"
        assert facts["path"] == "/healthcheck"
        assert facts["status"] == 200
