"""The WSGI app on SQLite and a file store."""

import contextlib
import dataclasses
import os
import secrets
import signal

import pytest

from imagesvc import opts
from imagesvc import service as services
from imagesvc.api import app as door
from imagesvc.manager import refusal
from imagesvc_drivers.compute.qemu.server_folder import ServerFolder
from tests import migrated
from tests.api.caller import Caller
from tests.api.identity_driver import TokenIdentity

CONF = """
[service]
state_dir = {folder}
[database]
url = sqlite:///{folder}/imagesvc.sqlite
[storage_local]
directory = {folder}/images
[compute_local]
accelerator = tcg
[identity_local]
path = {folder}/identity.sqlite
[audit_sink_local]
path = {folder}/audit.log
"""


@pytest.fixture(autouse=True)
def _every_refusal_recorded(monkeypatch):
    """Tests share one service: what others had refused must not end this one's window."""
    monkeypatch.setattr(refusal, "ALL_MAX", 1_000_000)


@pytest.fixture(autouse=True, scope="module")
def _no_guest_runs_on(tmp_path_factory):
    """The services last for all tests of a process; what their servers take is given back."""
    yield
    for path in tmp_path_factory.getbasetemp().glob("*/qemu/servers/*"):
        running = ServerFolder(path).process()
        if running is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(running["pid"], signal.SIGKILL)


@pytest.fixture(scope="session")
def conf(tmp_path_factory):
    """The configuration of a service in a folder of its own."""
    return configure(tmp_path_factory.mktemp("service"))


def configure(folder, more=""):
    """Write and load a configuration."""
    key = folder / "installation.key"
    key.write_text(secrets.token_hex(32))
    key.chmod(0o600)
    path = folder / "imagesvc.conf"
    path.write_text(CONF.format(folder=folder) + more)
    return opts.load(path)


@contextlib.contextmanager
def working(conf):
    """A service of one's own, its callers named by their tokens."""
    migrated.make(conf.database.url)
    made = services.build(conf, monitor=False)
    yield dataclasses.replace(made, identity=TokenIdentity(None, backend_id="test"))
    made.close()


@pytest.fixture(scope="session")
def built(conf):
    """A whole service."""
    migrated.make(conf.database.url)
    service = services.build(conf, monitor=False)
    yield service
    service.close()


@pytest.fixture(scope="session")
def service(built):
    """The same, its callers named by their tokens."""
    return dataclasses.replace(built, identity=TokenIdentity(None, backend_id="test"))


def populated(app):
    """The application, with images of others in sight, as in any cloud."""
    others = Caller(app, None, "admin", "member")
    for visibility in ("public", "community"):
        others.active(b"of others", name="of others", visibility=visibility)
        others.create(name="of others", visibility=visibility)
    return app


@pytest.fixture(scope="session")
def app(service):
    """Its WSGI application."""
    return populated(door.create_app(service))


@pytest.fixture(scope="session")
def postgresql_built(tmp_path_factory, postgresql_server, postgresql_template):
    """A whole service on PostgreSQL."""
    url = postgresql_server.create(postgresql_template)
    service = services.build(
        configure(tmp_path_factory.mktemp("postgresql"), f"[database]\nurl = {url}\n"),
        monitor=False,
    )
    yield service
    service.close()
    postgresql_server.drop(url)


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def each_service(request):
    """A service on each engine, its callers named by their tokens."""
    found = request.getfixturevalue("built" if request.param == "sqlite" else "postgresql_built")
    return dataclasses.replace(found, identity=TokenIdentity(None, backend_id="test"))


@pytest.fixture(scope="session")
def each_app(each_service):
    """The WSGI application of each."""
    return populated(door.create_app(each_service))
