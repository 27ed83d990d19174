"""A whole service on each engine and a file store, with servers on paper."""

import secrets

import pytest

from imagesvc import opts
from imagesvc import service as services
from imagesvc.backend.registry import Backends
from imagesvc.context import RequestContext
from imagesvc.domain.image import NewImage
from imagesvc.worker import runner
from tests import migrated
from tests.unit.worker.paper_compute import DISK, PaperCompute

CONF = """
[service]
state_dir = {folder}
[database]
url = {url}
[worker]
upload_stale_s = 1
retry_s = 0
[storage_local]
directory = {folder}/images
[identity_local]
path = {folder}/identity.sqlite
[compute_local]
state_dir = {folder}/servers
accelerator = tcg
[audit_sink_local]
path = {folder}/audit.log
"""
CALLER = RequestContext("user", "project", frozenset({"member"}), request_id="req-1")


@pytest.fixture
def compute():
    """The driver that stands in for the configured one."""
    driver = PaperCompute()
    driver.servers["server"] = "project"
    return driver


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path):
    """The URL of the database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/imagesvc.sqlite"
    return request.getfixturevalue("postgresql_url")


@pytest.fixture
def service_of(tmp_path, url):
    """Build a service from the text of a configuration."""
    built = []
    key = tmp_path / "installation.key"
    key.write_text(secrets.token_hex(32))
    key.chmod(0o600)
    path = tmp_path / "imagesvc.conf"
    migrated.make(url)

    def build(text):
        path.write_text(text.format(folder=tmp_path, url=url))
        built.append(services.build(opts.load(path), monitor=False))
        return built[-1]

    yield build
    for one in built:
        one.close()


@pytest.fixture
def service(service_of, compute, monkeypatch):
    """A service of its own for each test."""

    class PaperBackends(Backends):
        def compute(self, backend_id=None):
            return compute

    monkeypatch.setattr(services, "Backends", PaperBackends)
    return service_of(CONF)


@pytest.fixture
def capture(service):
    """An accepted capture: image and job."""
    return service.captures.start(CALLER, server_id="server", name="captured")


@pytest.fixture
def active_image(service):
    """An image with bytes."""
    new = NewImage(name="source", disk_format="raw", container_format="bare")
    image = service.images.create(CALLER, new)
    path = service.conf.service.state_dir + "/source"
    with open(path, "wb") as target:
        target.write(DISK)
    with open(path, "rb") as source:
        return service.image_files.upload(CALLER, image.id, source, len(DISK))


@pytest.fixture
def work(service):
    """Work on what is due, claim by claim, until nothing is or `rounds` are over."""

    def go(rounds=60, **options):
        worker = runner.Runner(service, "here", pause_max_s=0, **options)
        return next((n for n in range(rounds) if not worker.run_once()), rounds)

    return go
