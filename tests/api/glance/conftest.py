"""The WSGI app on three stores, with each engine, and a worker that works when it is told to."""

import dataclasses
import secrets

import pytest

from imagesvc import opts
from imagesvc import service as services
from imagesvc.api import app as door
from imagesvc.db import migrate
from imagesvc.worker import runner
from tests.api.identity_driver import TokenIdentity

CONF = """
[service]
state_dir = {folder}
[database]
url = {url}
[worker]
upload_stale_s = 1
[limit]
image_size_bytes = 10000000
[storage]
enabled_backends = archive:file, fast:file, plain:file, shut:file
default_backend = plain
[storage_fast]
directory = {folder}/fast
weight = 10
description = near
[storage_plain]
directory = {folder}/plain
[storage_archive]
directory = {folder}/archive
[storage_shut]
directory = {folder}/shut
read_only = true
weight = 5
[identity_local]
path = {folder}/identity.sqlite
[compute_local]
state_dir = {folder}/servers
[audit_sink_local]
path = {folder}/audit.log
"""


class Several:
    """A service on several stores, its app, and its worker."""

    def __init__(self, folder, url, more=""):
        key = folder / "installation.key"
        key.write_text(secrets.token_hex(32))
        key.chmod(0o600)
        path = folder / "imagesvc.conf"
        path.write_text(CONF.format(folder=folder, url=url) + more)
        migrate.upgrade(url)
        self.folder = folder
        self.built = services.build(opts.load(path), monitor=False)
        identity = TokenIdentity(None, backend_id="test")
        self.service = dataclasses.replace(self.built, identity=identity)
        self.app = door.create_app(self.service)

    def work(self, rounds=60, **options):
        """Work on what is due until nothing is; how many claims that took."""
        worker = runner.Runner(self.service, "here", pause_max_s=0, **options)
        return next((n for n in range(rounds) if not worker.run_once()), rounds)

    def keys(self, store_id):
        """The keys that a store holds."""
        return [item.key for item in self.service.backends.storage(store_id).list()]

    def close(self):
        """End it."""
        self.built.close()


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def several(request, tmp_path_factory):
    """One for the tests of a module."""
    folder = tmp_path_factory.mktemp("several")
    url, server = f"sqlite:///{folder}/imagesvc.sqlite", None
    if request.param == "postgresql":
        server = request.getfixturevalue("postgresql_server")
        url = server.create(request.getfixturevalue("postgresql_template"))
    made = Several(folder, url)
    yield made
    made.close()
    if server:
        server.drop(url)
