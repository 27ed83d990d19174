"""Keystone as identity backend: the laws of identity, and what is its own, on a real Keystone."""

import concurrent.futures
import contextlib
import datetime
import http.server
import json
import socket
import threading

import pytest
import requests

from imagesvc.interface import base, errors
from imagesvc.interface.identity import AuthRequest, Unauthenticated
from imagesvc.testing.conformance.identity import Endpoint, IdentityConformance, Person
from imagesvc_drivers.identity import keystone_cache, keystone_client
from imagesvc_drivers.identity.keystone import KeystoneIdentity
from tests.keystone_server import PASSWORD, KeystoneServer
from tests.poll import until

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("keystone")]


def options(server, **more):
    """The section of a driver for this server."""
    return {
        "auth_url": server.url, "username": server.service_user, "password": PASSWORD,
        "project_name": "service", "timeout_s": 60, **more,
    }  # fmt: skip


@pytest.fixture
def own_server():
    """A Keystone that this test may stop."""
    server = KeystoneServer()
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture
def asked(monkeypatch):
    """Paths of the questions that reach Keystone."""
    found = []
    real = keystone_client.KeystoneClient._send

    def send(self, path, headers, timeout_s):
        found.append(path)
        return real(self, path, headers, timeout_s)

    monkeypatch.setattr(keystone_client.KeystoneClient, "_send", send)
    return found


class TestKeystoneIdentity(IdentityConformance):
    @pytest.fixture
    def driver(self, keystone_server):
        return self.make(KeystoneIdentity, **options(keystone_server, system_scope=True))

    @pytest.fixture
    def person(self, keystone_server):
        project_id = keystone_server.project()
        name = keystone_server.user(project_id, "member")
        shown = keystone_server.call("GET", f"/projects/{project_id}").json()["project"]["name"]
        return Person(keystone_server.user_id(name), name, PASSWORD, project_id, shown)

    @pytest.fixture
    def foreign_project(self, keystone_server):
        return keystone_server.project()

    @pytest.fixture
    def known_endpoint(self, keystone_server):
        project = keystone_server.project()
        token = keystone_server.token(keystone_server.user(project, "member"), project)
        return Endpoint(token, "identity", "RegionOne", "public", keystone_server.url)

    def of(self, server, **more):
        return self.make(KeystoneIdentity, **options(server, **more))

    def whoami(self, driver, token, service=None, target="/v2/images", method="GET"):
        headers = {"x-auth-token": token, **({"x-service-token": service} if service else {})}
        return driver.authenticate(AuthRequest(method, target, headers))

    @pytest.mark.parametrize(
        ("role", "roles"),
        [
            ("reader", {"reader"}),
            ("member", {"member", "reader"}),
            ("manager", {"manager", "member", "reader"}),
            ("admin", {"admin", "manager", "member", "reader"}),
            ("service", {"service"}),
        ],
    )
    def test_a_token_names_user_project_and_roles(self, keystone_server, role, roles):
        project = keystone_server.project()
        user = keystone_server.user(project, role)
        found = self.whoami(self.of(keystone_server), keystone_server.token(user, project))
        assert (found.user_id, found.user_name) == (keystone_server.user_id(user), user)
        assert (found.project_id, found.roles) == (project, roles)
        assert found.is_admin == (role == "admin")
        assert found.expires_at > datetime.datetime.now(datetime.UTC)

    def test_roles_beside_a_project_give_no_rights_here(self, keystone_server, driver):
        project = keystone_server.project()
        user = keystone_server.user(project, "admin")
        service = keystone_server.service_user
        system = keystone_server.token(service, system={"all": True})
        for token in (keystone_server.token(user), system):
            found = self.whoami(driver, token)
            assert (found.project_id, found.roles, found.is_admin) == (None, frozenset(), False)

    def test_a_token_is_asked_for_once_while_it_is_kept(self, keystone_server, asked):
        driver = self.of(keystone_server)
        project = keystone_server.project()
        token = keystone_server.token(keystone_server.user(project, "member"), project)
        first = self.whoami(driver, token)
        assert [self.whoami(driver, token) for _ in range(5)] == [first] * 5
        assert len(asked) == 1

    def test_many_at_once_with_one_token_ask_once(self, keystone_server, asked):
        driver = self.of(keystone_server)
        project = keystone_server.project()
        token = keystone_server.token(keystone_server.user(project, "member"), project)
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            found = set(pool.map(lambda _: self.whoami(driver, token), range(64)))
        assert len(found) == len(asked) == 1

    def test_the_cache_is_bounded(self, keystone_server):
        driver = self.of(keystone_server, token_cache_entries=2)
        project = keystone_server.project()
        user = keystone_server.user(project, "member")
        for _ in range(4):
            self.whoami(driver, keystone_server.token(user, project))
        assert len(driver._cache) == 2

    def test_no_token_is_kept_in_the_cache(self, keystone_server):
        driver = self.of(keystone_server)
        token = keystone_server.token(keystone_server.service_user)
        self.whoami(driver, token)
        assert token not in repr(driver._cache._entries)
        assert token not in str(driver._cache._entries).replace("\\", "")

    def test_a_revoked_token_ends_within_the_time_that_it_is_kept(self, keystone_server):
        driver = self.of(keystone_server, token_cache_s=1)
        project = keystone_server.project()
        token = keystone_server.token(keystone_server.user(project, "member"), project)
        self.whoami(driver, token)
        keystone_server.revoke(token)

        def refused():
            try:
                self.whoami(driver, token)
            except Unauthenticated:
                return True
            return False

        until(refused, 10)

    def test_nothing_is_kept_if_told_so(self, keystone_server):
        driver = self.of(keystone_server, token_cache_s=0)
        project = keystone_server.project()
        user = keystone_server.user(project, "member")
        token = keystone_server.token(user, project)
        self.whoami(driver, token)
        keystone_server.withdraw(user, project, "member")
        with pytest.raises(Unauthenticated):
            self.whoami(driver, token)

    def test_no_time_beyond_a_minute_can_be_set(self, keystone_server):
        with pytest.raises(ValueError, match="less than or equal to 60"):
            self.of(keystone_server, token_cache_s=61)

    def test_an_ended_token_is_believed_only_beside_a_service(self, keystone_server, monkeypatch):
        """Real tokens live for hours: the clock of what is kept is moved instead."""
        driver = self.of(keystone_server)
        project = keystone_server.project()
        token = keystone_server.token(keystone_server.user(project, "member"), project)
        service = keystone_server.token(
            keystone_server.service_user, name_of_service(keystone_server)
        )
        real = KeystoneIdentity._describe

        def describe(self, asked_for, allow_expired, **named):
            body = real(self, asked_for, allow_expired, **named)
            if asked_for != token or body is None:
                return body
            return aged(self._parse(body)) if allow_expired else None

        monkeypatch.setattr(KeystoneIdentity, "_describe", describe)
        for _ in range(2):
            with pytest.raises(Unauthenticated):
                self.whoami(driver, token)
            assert self.whoami(driver, token, service).project_id == project
            with pytest.raises(Unauthenticated):
                self.whoami(driver, token, token)

    def test_a_token_that_is_known_already_does_not_excuse_a_service_without_its_role(
        self, keystone_server
    ):
        driver = self.of(keystone_server)
        project = keystone_server.project()
        token = keystone_server.token(keystone_server.user(project, "member"), project)
        assert self.whoami(driver, token).project_id == project
        with pytest.raises(Unauthenticated):
            self.whoami(driver, token, token)
        assert self.whoami(driver, token).project_id == project

    def test_access_rules_of_an_application_credential_hold(self, keystone_server):
        keystone_server.register("image", "http://127.0.0.1:1")
        driver = self.of(keystone_server)
        project = keystone_server.project()
        user = keystone_server.user(project, "member")
        rule = {"path": "/v2/images", "method": "GET", "service": "image"}
        token = application_token(keystone_server, user, project, rule)
        assert self.whoami(driver, token).project_id == project
        assert self.whoami(driver, token, target="/v2/images?limit=1").project_id == project
        for method, target in (
            ("POST", "/v2/images"),
            ("GET", "/v2/images/x"),
            ("GET", "//v2/images"),
        ):
            with pytest.raises(Unauthenticated):
                self.whoami(driver, token, method=method, target=target)

    def test_the_service_may_use_an_application_credential(self, keystone_server):
        project = keystone_server.project()
        user = keystone_server.user(project, "service")
        made = application_credential(keystone_server, user, project)
        driver = self.of(
            keystone_server, username=None, application_credential_id=made["id"],
            application_credential_secret=made["secret"],
        )  # fmt: skip
        assert driver.health().state is base.HealthState.OK
        self.whoami(driver, keystone_server.token(keystone_server.service_user))

    def test_a_user_that_may_not_check_tokens_is_told_so(self, keystone_server):
        project = keystone_server.project()
        name = keystone_server.call("GET", f"/projects/{project}").json()["project"]["name"]
        user = keystone_server.user(project, "member")
        driver = self.of(keystone_server, username=user, project_name=name)
        health = driver.health()
        assert health.state is base.HealthState.DEGRADED
        assert "service" in health.detail
        with pytest.raises(errors.AccessDenied) as denied:
            self.whoami(driver, keystone_server.token(keystone_server.service_user))
        assert "role service" in denied.value.operator_message

    def test_a_wrong_password_is_said_and_locks_nobody_out(self, keystone_server, monkeypatch):
        posted = []
        real = requests.Session.request

        def request(self, method, url, **named):
            posted.append(method)
            return real(self, method, url, **named)

        monkeypatch.setattr(requests.Session, "request", request)
        driver = self.of(keystone_server, password="wrong-secret")
        token = "gAAAA" + "x" * 100
        for _ in range(10):
            with pytest.raises(errors.AccessDenied) as denied:
                self.whoami(driver, token)
        assert "credentials (imagesvc)" in denied.value.operator_message
        assert "credentials" not in denied.value.user_message
        assert len(posted) == 1
        health = driver.health()
        assert (health.state, health.detail) == (
            base.HealthState.DOWN,
            denied.value.operator_message,
        )
        assert "wrong-secret" not in health.detail

    def test_keystone_that_goes_and_comes_back_is_503_and_then_again_right(self, own_server):
        driver = self.of(own_server, token_cache_s=0)
        token = own_server.token(own_server.service_user)
        self.whoami(driver, token)
        own_server.stop()
        for _ in range(20):
            with pytest.raises(errors.Unavailable):
                self.whoami(driver, token)
        assert driver.health().state is base.HealthState.DOWN
        fresh = self.again(driver)
        with pytest.raises(errors.Unavailable):
            self.whoami(fresh, token)
        own_server.start()

        def answers():
            try:
                return self.whoami(driver, token) and self.whoami(fresh, token)
            except errors.Unavailable:
                return False

        until(answers)

    def test_all_pages_of_a_list_are_read(self, own_server):
        own_server.stop()
        with (own_server.folder / "keystone.conf").open("a") as file:
            file.write("[resource]\nlist_limit = 2\n")
        own_server.start()
        made = {own_server.project() for _ in range(5)}
        page = own_server.call("GET", "/projects").json()
        assert (len(page["projects"]), page["truncated"]) == (2, True)
        driver = self.of(own_server, system_scope=True)
        found = [project.project_id for project in driver.list_projects()]
        assert len(found) == len(set(found))
        assert made < set(found)

    @pytest.mark.parametrize(
        "following",
        ["{url}/projects?limit=1", "http://127.0.0.2:1/v3/projects?marker=b", "{url}/projects"],
    )
    def test_pages_that_lead_in_a_circle_or_away_end(self, paging_server, following):
        url, asked = paging_server(following)
        driver = self.make(KeystoneIdentity, auth_url=url, username="u", password="p")
        assert [project.project_id for project in driver.list_projects()] == ["a"]
        assert len(asked) <= 2

    def test_keystone_that_never_answers_holds_nobody_for_long(self, silent_server):
        """The first waits for its time; the others fail at once while it is known to be away."""
        driver = self.make(
            KeystoneIdentity, auth_url=silent_server, username="u", password="p", timeout_s=0.3
        )
        began = datetime.datetime.now()
        for _ in range(50):
            with pytest.raises(errors.Unavailable):
                self.whoami(driver, "token")
        assert datetime.datetime.now() - began < datetime.timedelta(seconds=10)

    def test_a_keystone_that_is_slow_for_probes_serves_requests(self, keystone_server, slow_server):
        project = keystone_server.project()
        token = keystone_server.token(keystone_server.user(project, "member"), project)
        driver = self.of(keystone_server, auth_url=slow_server)
        assert driver.health().state is base.HealthState.DOWN
        assert self.whoami(driver, token).project_id == project

    def test_something_else_at_the_address_is_unavailable_or_denied(self, other_server):
        driver = self.make(KeystoneIdentity, auth_url=other_server, username="u", password="p")
        with pytest.raises((errors.Unavailable, errors.AccessDenied)):
            self.whoami(driver, "token")
        assert driver.health().state is base.HealthState.DOWN

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("auth_url", None), ("auth_url", "keystone:5000"), ("auth_url", "ftp://host/"),
            ("username", None), ("password", ""), ("application_credential_id", "id"),
            ("www_authenticate_uri", 'http://host/"\r\nX: y'),
        ],
    )  # fmt: skip
    def test_a_missing_or_wrong_option_is_named(self, name, value):
        given = {"auth_url": "http://host/v3", "username": "u", "password": "p", name: value}
        wanted = "application_credential_secret" if name.startswith("application") else name
        with pytest.raises(errors.InvalidConfiguration, match=wanted):
            self.construct(KeystoneIdentity, **given)

    def test_the_challenge_names_keystone_as_clients_reach_it(self):
        given = {"auth_url": "http://inside:5000", "username": "u", "password": "p"}
        inside = self.construct(KeystoneIdentity, **given)
        assert inside.challenge() == 'Keystone uri="http://inside:5000/v3"'
        public = "https://public.example/identity/v3"
        outside = self.construct(KeystoneIdentity, www_authenticate_uri=public, **given)
        assert outside.challenge() == f'Keystone uri="{public}"'


@pytest.fixture
def silent_server():
    """Takes connections and says nothing."""
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        door.listen(64)
        yield f"http://127.0.0.1:{door.getsockname()[1]}/v3"


@pytest.fixture
def paging_server():
    """Something that gives the same page for ever, with a link to one that follows."""
    servers = []

    def start(following):
        asked = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                self.rfile.read(int(self.headers["Content-Length"]))
                token = {"expires_at": "2100-01-01T00:00:00Z", "user": {"id": "u"}}
                self.answer(201, {"token": token})

            def do_GET(self):
                asked.append(self.path)
                page = [{"id": "a", "name": "a", "domain_id": "d"}]
                link = following.format(url=url)
                self.answer(200, {"projects": page, "links": {"next": link}})

            def answer(self, status, body):
                data = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("X-Subject-Token", "own")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *args):
                """Say nothing."""

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        url = f"http://127.0.0.1:{server.server_port}/v3"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return url, asked

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def slow_server(keystone_server):
    """Keystone behind a door that opens later than a probe waits."""

    class Door(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            threading.Event().wait(2.5)
            self.answer(requests.get(self.url(), headers=self.headers, timeout=60))

        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.answer(requests.post(self.url(), body, headers=self.headers, timeout=60))

        def url(self):
            return keystone_server.url + self.path.removeprefix("/v3")

        def answer(self, found):
            with contextlib.suppress(BrokenPipeError):  # the probe has gone
                self.send_response(found.status_code)
                for name in ("Content-Type", "X-Subject-Token"):
                    self.send_header(name, found.headers.get(name, ""))
                self.end_headers()
                self.wfile.write(found.content)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Door)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v3"
    server.shutdown()
    server.server_close()


@pytest.fixture
def other_server():
    """A web server that is no Keystone."""

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<html>It works!</html>")

        do_POST = do_GET

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v3"
    server.shutdown()
    server.server_close()


def name_of_service(server):
    """Id of the project where the service's user has its role."""
    return server.call("GET", "/projects?name=service").json()["projects"][0]["id"]


def aged(told):
    """Keystone's answer about a token that ended a minute ago."""
    past = datetime.datetime.now(datetime.UTC) - datetime.timedelta(minutes=1)
    told["token"]["expires_at"] = past.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return json.dumps(told).encode()


def application_credential(server, user, project, *rules):
    """One of the user's own."""
    values = {"name": "one", **({"access_rules": list(rules)} if rules else {})}
    path = f"/users/{server.user_id(user)}/application_credentials"
    body = {"application_credential": values}
    found = server.call("POST", path, body, token=server.token(user, project))
    return found.json()["application_credential"]


def application_token(server, user, project, *rules):
    """A token by it."""
    made = application_credential(server, user, project, *rules)
    method = {"id": made["id"], "secret": made["secret"]}
    body = {
        "auth": {
            "identity": {"methods": ["application_credential"], "application_credential": method}
        }
    }
    found = requests.post(f"{server.url}/auth/tokens", json=body, timeout=120)
    assert found.status_code == 201, found.text
    return found.headers["X-Subject-Token"]


def test_what_a_token_cache_holds_ends_with_the_token(monkeypatch):
    cache = keystone_cache.TokenCache(60, 10, 1)
    soon = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=30)
    known = keystone_cache.Known(b"{}", None, soon)
    assert cache.get_or_ask("t", lambda: known, allow_expired=False) is known
    assert cache.get("t") is known
    monkeypatch.setattr(keystone_cache, "_now", lambda: soon)
    assert cache.get("t") is None


def test_one_question_that_fails_fails_for_all_who_wait():
    cache, begun, go_on = (
        keystone_cache.TokenCache(60, 10, 10),
        threading.Event(),
        threading.Event(),
    )

    def ask():
        begun.set()
        go_on.wait(10)
        raise errors.Unavailable("away")

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        calls = [pool.submit(cache.get_or_ask, "t", ask, allow_expired=False) for _ in range(4)]
        assert begun.wait(10)
        go_on.set()
        assert all(isinstance(call.exception(10), errors.Unavailable) for call in calls)
