"""The WSGI app on SQLite and a file store."""

import dataclasses
import secrets

import pytest

from imagesvc import opts
from imagesvc import service as services
from imagesvc.api import app as door
from imagesvc.db import migrate
from tests.api.identity_driver import TokenIdentity

CONF = """
[service]
state_dir = {folder}
[database]
url = sqlite:///{folder}/imagesvc.sqlite
[storage_local]
directory = {folder}/images
[identity_local]
path = {folder}/identity.sqlite
[compute_local]
directory = {folder}/servers
[audit_sink_local]
path = {folder}/audit.log
"""


@pytest.fixture(scope="session")
def conf(tmp_path_factory):
    """The configuration of a service in a folder of its own."""
    folder = tmp_path_factory.mktemp("service")
    key = folder / "installation.key"
    key.write_text(secrets.token_hex(32))
    key.chmod(0o600)
    path = folder / "imagesvc.conf"
    path.write_text(CONF.format(folder=folder))
    return opts.load(path)


@pytest.fixture(scope="session")
def built(conf):
    """A whole service."""
    migrate.upgrade(conf.database.url)
    service = services.build(conf, monitor=False)
    yield service
    service.close()


@pytest.fixture(scope="session")
def service(built):
    """The same, its callers named by their tokens."""
    return dataclasses.replace(built, identity=TokenIdentity(None, backend_id="test"))


@pytest.fixture(scope="session")
def app(service):
    """Its WSGI application."""
    return door.create_app(service)
