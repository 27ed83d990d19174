"""The client of the OpenStack drivers: logins, and what goes wrong on the wire."""

import json
import sys
import threading

import pytest

from imagesvc.interface import errors
from imagesvc.testing.conformance.options import options_of
from imagesvc_drivers.client import openstack_option
from tests import web_server


class Driver:
    """What `options_of` asks of a driver."""

    OPTS = openstack_option.OPTS


def cloud_of(server, **values):
    """A client with a fixed token for a service at `server`."""
    named = {"token": "t:{project_id}", "endpoint": server.url("/v2.1"), "timeout_s": 1.0}
    options = options_of(Driver, named | values)
    return openstack_option.cloud(options, "test", "Nova", {"compute": options.endpoint})


def ask(cloud, project_id="p1"):
    """One call of a service."""
    with cloud.calling():
        answer = cloud.project(project_id).compute.get("/servers")
        return answer.json()


def answering(status, body=None):
    """A service whose every answer is this one, but for the question for its versions."""
    version = {"id": "v2.1", "status": "CURRENT", "version": "2.100", "min_version": "2.1"}

    def script(head, connection):
        told, what = status, body
        if b" /v2.1/ " in head or b" /v2.1 " in head:
            own = {"rel": "self", "href": f"http://127.0.0.1:{connection.getsockname()[1]}/v2.1/"}
            told, what = "200 OK", {"version": {**version, "links": [own]}}
        kind = "Content-Type: application/json"
        connection.sendall(web_server.answer(json.dumps(what).encode(), kind, status=told))

    return script


def test_the_token_names_the_project_that_is_asked_for():
    with web_server.serving(answering("200 OK", {"servers": []})) as server:
        cloud = cloud_of(server)
        assert ask(cloud, "p1") == ask(cloud, "p2") == {"servers": []}
        asked = [head for head in server.requests if b"/servers" in head]
    first, second = asked
    assert b"X-Auth-Token: t:p1\r\n" in first
    assert b"X-Auth-Token: t:p2\r\n" in second


@pytest.mark.parametrize(
    ("status", "error", "retryable"),
    [
        ("400 Bad Request", errors.InvalidArgument, False),
        ("401 Unauthorized", errors.AccessDenied, False),
        ("403 Forbidden", errors.AccessDenied, False),
        ("404 Not Found", errors.NotFound, False),
        ("409 Conflict", errors.Busy, False),
        ("429 Too Many Requests", errors.Unavailable, True),
        ("500 Internal Server Error", errors.Unavailable, True),
        ("503 Service Unavailable", errors.Unavailable, True),
    ],
)
def test_an_answer_of_failure_is_an_error_of_drivers(status, error, retryable):
    body = {"fault": {"message": "what Nova says"}}
    with web_server.serving(answering(status, body)) as server, pytest.raises(error) as raised:
        ask_and_raise(cloud_of(server))
    assert type(raised.value) is error
    assert raised.value.retryable is retryable
    assert "127.0.0.1" not in raised.value.user_message
    if error not in (errors.AccessDenied, errors.Unavailable) or "403" in status:
        assert "what Nova says" in raised.value.user_message


def ask_and_raise(cloud):
    """One call whose failure openstacksdk raises."""
    from openstack import exceptions

    with cloud.calling():
        exceptions.raise_from_response(cloud.project("p1").compute.get("/servers"))


def test_a_quota_of_the_cloud_is_no_space():
    body = {"forbidden": {"message": "Quota exceeded for instances: Requested 1, but already 10"}}
    server = web_server.serving(answering("403 Forbidden", body))
    with server as found, pytest.raises(errors.NoSpace, match="already 10"):
        ask_and_raise(cloud_of(found))


def test_a_silent_service_is_a_timeout():
    asked_enough = threading.Event()

    def script(head, connection):
        asked_enough.wait(30)

    with web_server.serving(script) as server:
        with pytest.raises(errors.DriverError) as raised:
            ask(cloud_of(server, timeout_s=0.3))
        asked_enough.set()
    assert isinstance(raised.value, errors.Timeout | errors.Unavailable)
    assert raised.value.retryable


def test_a_service_that_is_gone_is_unavailable():
    with web_server.serving(answering("200 OK", {})) as server:
        cloud = cloud_of(server)
    with pytest.raises(errors.Unavailable, match="Nova cannot be reached") as raised:
        ask(cloud)
    assert raised.value.retryable


@pytest.mark.parametrize(
    ("values", "missing"),
    [
        ({}, "auth_url"),
        ({"auth_url": "http://k/v3"}, "username"),
        ({"auth_url": "http://k/v3", "username": "u"}, "password"),
        (
            {"auth_url": "http://k/v3", "application_credential_id": "i"},
            "application_credential_secret",
        ),
        ({"token": "t"}, "endpoint"),
    ],
)
def test_credentials_that_are_missing_are_named_before_anything_is_asked(values, missing):
    options = options_of(Driver, values)
    with pytest.raises(errors.InvalidConfiguration, match=f"option {missing} is not set"):
        openstack_option.cloud(options, "test", "Nova", {})


def test_a_url_that_is_none_is_refused():
    options = options_of(Driver, {"token": "t", "endpoint": "nova:8774"})
    with pytest.raises(errors.InvalidConfiguration, match="endpoint"):
        openstack_option.cloud(options, "test", "Nova", {})


def test_without_the_library_the_error_says_what_to_install(monkeypatch):
    monkeypatch.delitem(sys.modules, "imagesvc_drivers.client.openstack", raising=False)
    monkeypatch.delattr("imagesvc_drivers.client.openstack", raising=False)
    monkeypatch.setitem(sys.modules, "openstack", None)
    monkeypatch.setitem(sys.modules, "openstack.connection", None)
    options = options_of(Driver, {"token": "t", "endpoint": "http://nova"})
    with pytest.raises(errors.InvalidConfiguration, match=r"pip install 'imagesvc\[openstack\]'"):
        openstack_option.cloud(options, "test", "Nova", {})


def test_a_service_that_comes_into_the_catalog_later_is_found_by_the_next_call():
    catalog = []

    def script(head, connection):
        path = head.split(b" ", 2)[1]
        body, kinds, status = {"servers": []}, ["Content-Type: application/json"], "200 OK"
        if path.endswith(b"/auth/tokens"):
            until = "2099-01-01T00:00:00.000000Z"
            body = {"token": {"methods": [], "expires_at": until, "catalog": list(catalog)}}
            kinds, status = [*kinds, "X-Subject-Token: t"], "201 Created"
        connection.sendall(web_server.answer(json.dumps(body).encode(), *kinds, status=status))

    with web_server.serving(script) as server:
        values = {"auth_url": server.url("/v3"), "username": "u", "password": "p"}
        options = options_of(Driver, values)
        cloud = openstack_option.cloud(options, "test", "Nova", {})
        with pytest.raises(errors.Unavailable, match="Nova is not to be found"):
            cloud.ask(cloud.own(), "compute", "GET", "/servers")
        place = {"interface": "internal", "url": server.url("/v2.1"), "region": "r", "id": "e"}
        catalog.append({"type": "compute", "name": "nova", "id": "s", "endpoints": [place]})
        assert cloud.ask(cloud.own(), "compute", "GET", "/servers") == {"servers": []}
