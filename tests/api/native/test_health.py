"""Readiness looks at the database, the essential backends, and the drain file."""

import secrets
import shutil
from pathlib import Path

import pytest
from falcon import testing

from imagesvc import opts
from imagesvc import service as services
from imagesvc.api import app as door
from tests import migrated
from tests.api.conftest import CONF

FINE = {"status": "ok", "reason": "", "unready": []}


@pytest.fixture
def service(tmp_path):
    """A service that a test may break."""
    (tmp_path / "installation.key").write_text(secrets.token_hex(32))
    (tmp_path / "imagesvc.conf").write_text(CONF.format(folder=tmp_path))
    conf = opts.load(tmp_path / "imagesvc.conf")
    migrated.make(conf.database.url)
    built = services.build(conf, monitor=False)
    yield built
    built.close()


@pytest.fixture
def client(service):
    """Anybody, without a token."""
    return testing.TestClient(door.create_app(service))


def unready(client, *names):
    """503 that names them; alive all the same."""
    found = client.simulate_get("/healthcheck/ready")
    assert found.status_code == 503
    assert found.json == {"status": "unready", "reason": "down", "unready": list(names)}
    assert client.simulate_get("/healthcheck").status_code == 200


def test_a_whole_service_is_ready(client):
    found = client.simulate_get("/healthcheck/ready")
    assert (found.status_code, found.json) == (200, FINE)


def test_a_drain_file_sends_new_work_elsewhere_until_it_is_gone(client, service):
    drain = Path(service.conf.service.drain_file)
    drain.touch()
    found = client.simulate_get("/healthcheck/ready")
    assert found.status_code == 503
    assert found.json == {"status": "unready", "reason": "draining", "unready": []}
    assert client.simulate_get("/healthcheck").status_code == 200
    assert client.simulate_get("/v2/schemas/image").status_code == 401
    drain.unlink()
    assert client.simulate_get("/healthcheck/ready").json == FINE


def test_a_database_that_is_gone_is_named(client, service):
    service.database.dispose()
    Path(service.conf.database.url.removeprefix("sqlite:///")).unlink()
    unready(client, "database")


def test_a_default_store_that_is_gone_is_named(client, service, tmp_path):
    shutil.rmtree(tmp_path / "images")
    service.backends.check()
    unready(client, "storage:local")


def test_an_identity_that_does_not_work_is_named(client, service, tmp_path):
    for path in tmp_path.glob("identity.sqlite*"):
        path.write_bytes(b"no database " * 10_000)
    service.backends.check()
    unready(client, "identity:local")
