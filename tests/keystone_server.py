"""A real Keystone 30 on a free port of 127.0.0.1, in a virtual environment of its own.

The environment is made once, from PyPI with fixed versions, in IMAGESVC_KEYSTONE_VENV or
`.venv-keystone` of the checkout; beside it lies a bootstrapped database that each server copies.
"""

import base64
import fcntl
import os
import pathlib
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import uuid

import requests

ROOT = pathlib.Path(__file__).parents[1]
VENV = pathlib.Path(os.environ.get("IMAGESVC_KEYSTONE_VENV", ROOT / ".venv-keystone"))
CONSTRAINTS = ROOT / "tests" / "keystone_constraints.txt"
PASSWORD = "a password of tests"
START_S = 120.0
INTERFACES = ("public", "internal", "admin")

CONF = """
[DEFAULT]
log_file = {folder}/keystone.log
[database]
connection = sqlite:///{folder}/keystone.db?timeout=60
[fernet_tokens]
key_repository = {folder}/fernet
[fernet_receipts]
key_repository = {folder}/fernet
[credential]
key_repository = {folder}/credential
[cache]
enabled = true
backend = dogpile.cache.memory
[token]
expiration = 7200
allow_expired_window = 7200
[identity]
password_hash_rounds = 4
"""
SECTIONS = """
[identity]
enabled_backends = keystone:keystone
[identity_keystone]
auth_url = {url}
username = {user}
password = {password}
timeout_s = 60
system_scope = true
"""
# Keystone reads sys.argv itself, so the server's arguments are hidden from it.
APP = """
import sys
sys.argv = ["keystone"]
from keystone.wsgi.api import application
"""


class KeystoneServer:
    """`start`, `stop` and `start` again at the same address; users are made as tests want them.

    `service_user` (role service on project service, reader on the system) is there from the start.
    """

    service_user = "imagesvc"

    def __init__(self) -> None:
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="keystone-", dir="/tmp"))
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/v3"
        self.process = None
        self._ids = {}
        self._admin = ""
        self._roles = {}
        self._registered = {}

    def sections(self) -> str:
        """A configuration with this as its identity."""
        return SECTIONS.format(url=self.url, user=self.service_user, password=PASSWORD)

    def start(self) -> None:
        """Start it, the first time with users and projects, and wait until it answers."""
        fresh = not (self.folder / "keystone.db").exists()
        if fresh:
            install()
            shutil.copytree(VENV / "template", self.folder, dirs_exist_ok=True)
            (self.folder / "keystone.conf").write_text(CONF.format(folder=self.folder))
            (self.folder / "keystone_app.py").write_text(APP)
        log = (self.folder / "stdout.log").open("ab")
        command = [
            VENV / "bin" / "gunicorn", "--bind", f"127.0.0.1:{self.port}", "--workers", "1",
            "--threads", "8", "--no-control-socket", "--chdir", self.folder, "keystone_app:application",
        ]  # fmt: skip
        self.process = subprocess.Popen(
            command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=_environment(self.folder)
        )
        log.close()
        self._wait()
        if fresh:
            self._fill()

    def stop(self) -> None:
        """End it, as a crash would."""
        if self.process is not None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self.process = None

    def remove(self) -> None:
        """End it and remove its folder."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def project(self, name: str = "") -> str:
        """Make a project; its id."""
        name = name or f"project-{uuid.uuid4().hex}"
        return self._made("project", {"name": name, "domain_id": "default"})

    def user(self, project_id: str, *roles: str, name: str = "") -> str:
        """Make a user with roles in a project; its name, the password is PASSWORD."""
        name = name or f"user-{uuid.uuid4().hex}"
        user_id = self._made("user", {"name": name, "domain_id": "default", "password": PASSWORD})
        self._ids[name] = user_id
        for role in roles:
            self.grant(name, project_id, role)
        return name

    def user_id(self, name: str) -> str:
        """The id of a user that was made here."""
        return self._ids[name]

    def grant(self, user: str, project_id: str, role: str) -> None:
        """Give a user a role in a project."""
        self.call("PUT", self._grant(user, project_id, role))

    def grant_system(self, user: str, role: str) -> None:
        """Give a user a role on the system as a whole."""
        self.call("PUT", f"/system/users/{self._ids[user]}/roles/{self._role(role)}")

    def grant_everywhere(self, user: str, role: str) -> None:
        """Give a user a role in each project of the domain, also in those to come."""
        path = f"/OS-INHERIT/domains/default/users/{self._ids[user]}/roles/{self._role(role)}"
        self.call("PUT", f"{path}/inherited_to_projects")

    def withdraw(self, user: str, project_id: str, role: str) -> None:
        """Take it away."""
        self.call("DELETE", self._grant(user, project_id, role))

    def token(self, user: str, project_id: str | None = None, password: str = PASSWORD, **scope):
        """A token of a user in a project; or with another scope."""
        scope = scope or ({"project": {"id": project_id}} if project_id else {})
        return self._login({"name": user, "domain": {"id": "default"}, "password": password}, scope)

    def revoke(self, token: str) -> None:
        """End a token."""
        self.call("DELETE", "/auth/tokens", headers={"X-Subject-Token": token})

    def register(self, kind: str, url: str) -> str:
        """Make `url` the endpoint of a service type in the catalog; gives what it was, or ""."""
        for service in self.call("GET", f"/services?type={kind}").json()["services"]:
            self.call("DELETE", f"/services/{service['id']}")
        self._made("service", {"type": kind, "name": kind})
        self.place(kind, url, "RegionOne")
        before, self._registered[kind] = self._registered.get(kind, ""), url
        return before

    def place(self, kind: str, url: str, region: str, interfaces=INTERFACES) -> None:
        """Make `url` one more endpoint of a service type, in a region of its own."""
        services = self.call("GET", f"/services?type={kind}").json()["services"]
        service_id = services[0]["id"] if services else self._made("service", {"type": kind})
        for interface in interfaces:
            endpoint = {"interface": interface, "url": url, "region": region}
            self._made("endpoint", {"service_id": service_id, **endpoint})

    def call(self, method: str, path: str, body=None, *, token: str = "", headers=None):
        """A request as the administrator, or with another token."""
        sent = {"X-Auth-Token": token or self._admin_token(), **(headers or {})}
        found = requests.request(method, self.url + path, json=body, headers=sent, timeout=120)
        assert found.ok, found.text
        return found

    def _made(self, noun: str, values: dict) -> str:
        return self.call("POST", f"/{noun}s", {noun: values}).json()[noun]["id"]

    def _grant(self, user, project_id, role):
        return f"/projects/{project_id}/users/{self._ids[user]}/roles/{self._role(role)}"

    def _role(self, name):
        if not self._roles:
            found = self.call("GET", "/roles").json()["roles"]
            self._roles = {role["name"]: role["id"] for role in found}
        return self._roles[name]

    def _admin_token(self):
        if self._admin:
            return self._admin
        scope = {"project": {"name": "admin", "domain": {"id": "default"}}}
        user = {"name": "admin", "domain": {"id": "default"}, "password": PASSWORD}
        self._admin = self._login(user, scope)
        return self._admin

    def _login(self, user, scope):
        identity = {"methods": ["password"], "password": {"user": user}}
        body = {"auth": {"identity": identity, **({"scope": scope} if scope else {})}}
        found = requests.post(f"{self.url}/auth/tokens", json=body, timeout=120)
        assert found.status_code == 201, found.text
        return found.headers["X-Subject-Token"]

    def _fill(self) -> None:
        self.register("identity", self.url)
        service = self.project("service")
        user = self.user(service, "service", name=self.service_user)
        self.grant_system(user, "reader")

    def _wait(self) -> None:
        end = time.monotonic() + START_S
        while True:
            try:
                requests.get(self.url, timeout=5)
                return
            except (requests.ConnectionError, requests.Timeout):
                words = (self.folder / "stdout.log").read_text()[-2000:]
                assert self.process.poll() is None, words
                assert time.monotonic() < end, words
                time.sleep(0.1)


def _environment(folder):
    return {
        **{name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        "OS_KEYSTONE_CONFIG_DIR": str(folder),
        "PYTHONWARNINGS": "ignore",
    }


def install() -> None:
    """Make the environment and the database to copy, unless they are there; one at a time."""
    VENV.mkdir(parents=True, exist_ok=True)
    ready, wanted = VENV / "ready", CONSTRAINTS.read_text()
    with VENV.with_name(f"{VENV.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if ready.exists() and ready.read_text() == wanted:
            return
        _run(sys.executable, "-m", "venv", "--clear", VENV)
        _run(
            VENV / "bin" / "pip", "install", "-q", "--disable-pip-version-check", "--no-input",
            "--only-binary", ":all:", "-c", CONSTRAINTS, "setuptools", "keystone", "gunicorn",
        )  # fmt: skip
        _bootstrap(VENV / "template")
        ready.write_text(wanted)


def _bootstrap(folder) -> None:
    for name in ("fernet", "credential"):
        (folder / name).mkdir(parents=True, mode=0o700)
        for number in "01":
            key = folder / name / number
            key.write_bytes(base64.urlsafe_b64encode(secrets.token_bytes(32)))
            key.chmod(0o600)
    (folder / "keystone.conf").write_text(CONF.format(folder=folder))
    manage = (VENV / "bin" / "keystone-manage", "--config-file", folder / "keystone.conf")
    _run(*manage, "db_sync", folder=folder)
    _run(*manage, "bootstrap", "--bootstrap-password", PASSWORD, folder=folder)


def _run(*command, folder=None) -> None:
    done = subprocess.run(
        [str(each) for each in command],
        capture_output=True,
        env=_environment(folder) if folder else None,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, (command, done.stdout, done.stderr)
