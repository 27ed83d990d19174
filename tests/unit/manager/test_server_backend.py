"""Servers of two compute backends: found wherever they live."""

import pytest

from imagesvc import errors
from imagesvc import service as services
from imagesvc.backend.registry import Backends
from imagesvc.interface import errors as driver_errors
from tests.unit.worker import conftest as worker
from tests.unit.worker.paper_compute import PaperCompute

CALLER = worker.CALLER
TWO = (
    worker.CONF
    + """
[compute]
enabled_backends = local:qemu, far:qemu
default_backend = local
[compute_far]
state_dir = {folder}/far
"""
)


@pytest.fixture
def far():
    """The second backend."""
    return PaperCompute()


@pytest.fixture
def service(service_of, compute, far, monkeypatch):
    """A service with both."""

    class TwoBackends(Backends):
        def compute(self, backend_id=None):
            super().compute(backend_id)
            return far if backend_id == "far" else compute

    monkeypatch.setattr(services, "Backends", TwoBackends)
    return service_of(TWO)


@pytest.fixture
def servers(compute, far):
    """Servers on both: ids by backend."""
    compute.servers = {"a": "project", "c": "project", "x": "other"}
    far.servers = {"b": "project", "d": "project", "y": "other"}


def listed(service, **more):
    return [server.server_id for server in service.servers.list(CALLER, **more)]


def test_a_list_is_one_order_over_all_backends_and_pages(service, servers):
    assert listed(service) == ["a", "b", "c", "d"]
    assert listed(service, limit=3) == ["a", "b", "c"]
    assert listed(service, limit=3, marker="c") == ["d"]
    assert listed(service, compute_id="far") == ["b", "d"]
    assert listed(service, compute_id="local") == ["a", "c"]


def test_a_server_is_found_on_its_backend(service, servers):
    for server_id in "abcd":
        assert service.servers.get(CALLER, server_id).server_id == server_id
    assert service.servers.get(CALLER, "b", compute_id="far").server_id == "b"
    with pytest.raises(errors.ServerNotFound):
        service.servers.get(CALLER, "b", compute_id="local")
    with pytest.raises(errors.ServerNotFound):
        service.servers.get(CALLER, "y")
    with pytest.raises(errors.BackendNotFound):
        service.servers.get(CALLER, "b", compute_id="nowhere")


def test_what_is_done_reaches_the_servers_backend(service, servers, compute, far):
    service.servers.start(CALLER, "d")
    service.servers.stop(CALLER, "d")
    assert service.servers.console_log(CALLER, "d") == b"hello"
    service.servers.delete(CALLER, "d")
    assert sorted(far.servers) == ["b", "y"]
    with pytest.raises(errors.ServerNotFound):
        service.servers.delete(CALLER, "y")
    assert sorted(compute.servers) == ["a", "c", "x"]


def test_a_capture_remembers_where_its_server_lives(service, servers):
    job = service.captures.start(CALLER, server_id="b", name="image")[1]
    assert job.args["compute_id"] == "far"
    with pytest.raises(errors.ServerNotFound):
        service.captures.start(CALLER, server_id="b", name="image", compute_id="local")


def test_a_backend_that_is_away_hides_only_its_own_servers(service, servers, far, monkeypatch):
    def away(*args, **kwargs):
        raise driver_errors.Unavailable("Compute is away.")

    monkeypatch.setattr(far, "get_server", away)
    monkeypatch.setattr(far, "list_servers", away)
    assert service.servers.get(CALLER, "a").server_id == "a"
    for call in (service.servers.get, service.servers.start):
        with pytest.raises(driver_errors.Unavailable):
            call(CALLER, "b")
    with pytest.raises(driver_errors.Unavailable):
        service.servers.list(CALLER)
    assert listed(service, compute_id="local") == ["a", "c"]
