"""The WSGI app on three stores, with each engine, and a worker that works when it is told to."""

import dataclasses
import secrets

import pytest

from imagesvc import opts
from imagesvc import service as services
from imagesvc.api import app as door
from imagesvc.manager import quota_verify, store_verify
from imagesvc.worker import reaper, runner
from tests import migrated
from tests.api.caller import Caller
from tests.api.identity_driver import TokenIdentity
from tests.web_server import answer, serving

DATA = bytes(range(256)) * 4100
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
accelerator = tcg
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
        migrated.make(url)
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


class Site:
    """One server, and a service that may fetch from it.

    The first of `answers` is bytes to send, or a function of the connection that sends some.
    """

    def __init__(self, folder, url, answers, more=""):
        def serve(_, connection):
            if callable(answers[0]):
                answers[0](connection)
            else:
                connection.sendall(answers[0])

        self._stack = serving(serve)
        self.web = self._stack.__enter__()
        more += (
            f"[fetch]\nallowed_ports = {self.web.port}\nallowed_networks = 127.0.0.1/32\n"
            "answer_timeout_s = 0.5\nidle_timeout_s = 1\n"
        )
        self.several = Several(folder, url, more)
        self.owner = Caller(self.several.app)

    def begin(self, uri=None, **values):
        """Create an image and import it; its id and the answer's status."""
        image_id = self.owner.create(**values)["id"]
        method = {"name": "web-download", "uri": uri or self.web.url()}
        found = self.owner.request("POST", f"/v2/images/{image_id}/import", {"method": method})
        return image_id, found.status_code

    def done(self, image_id):
        """Let the worker work; the image as it is then."""
        self.several.work()
        return self.owner.get(f"/v2/images/{image_id}").json

    def close(self):
        self.several.work()
        service = self.several.service
        reaper.run(service)
        found = store_verify.verify(service.database, service.backends, older_than_s=0)
        assert found.findings == []
        assert quota_verify.verify(service.database) == ()
        self.several.close()
        self._stack.__exit__(None, None, None)


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


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request, tmp_path):
    """The URL of a database of the test's own."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/imagesvc.sqlite"
    return request.getfixturevalue("postgresql_url")


@pytest.fixture
def settings():
    """What `own` and `site` are configured with beside the usual; modules may say other things."""
    return ""


@pytest.fixture
def own(tmp_path, database_url, settings):
    """A service of the test's own."""
    made = Several(tmp_path, database_url, settings)
    yield made
    made.close()


@pytest.fixture
def answers():
    """What the server of `site` answers with; a test may change it."""
    return [answer(DATA)]


@pytest.fixture
def site(tmp_path, database_url, answers, settings):
    """A service of the test's own, and a server that it may fetch from."""
    made = Site(tmp_path, database_url, answers, settings)
    yield made
    made.close()
