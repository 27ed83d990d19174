"""Probes: deadlines, states, and failed backends that come back."""

import sys
import threading
import time

import pytest

from imagesvc import errors
from imagesvc.backend.backend import BackendState
from imagesvc.backend.registry import Backends
from imagesvc.interface import base
from imagesvc.interface import errors as driver_errors

CONF = """
[backend]
health_interval_s = 0.1
health_timeout_s = 0.3
[storage]
enabled_backends = local:stub, second:stub
default_backend = local
"""


@pytest.fixture
def built(configure, stubs):
    found = Backends(configure(CONF))
    yield found
    found.close()


@pytest.fixture
def stub(built, stubs):
    """The stub's class."""
    return sys.modules[stubs].Storage


def until(condition):
    """Poll, with a deadline."""
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        threading.Event().wait(0.02)


def state(built, backend_id="second"):
    return built.status("storage", backend_id).state


@pytest.mark.parametrize("found", list(base.HealthState))
def test_a_probe_keeps_what_it_found(built, stub, monkeypatch, found):
    built.open(monitor=False)
    monkeypatch.setattr(stub, "state", found)
    built.check()
    status = built.status("storage")
    assert (status.state.value, status.cause, status.latency_ms) == (found.value, "detail", 1.5)


def test_a_backend_that_is_down_still_takes_calls(built, stub, monkeypatch):
    built.open(monitor=False)
    monkeypatch.setattr(stub, "state", base.HealthState.DOWN)
    built.check()
    assert built.storage().backend_id == "local"
    assert [item.id for item in built.unready()] == ["local"]


def test_a_probe_that_raises_means_down(built, stub, monkeypatch):
    built.open(monitor=False)

    def fail(self):
        raise driver_errors.Unavailable("user text", "operator text")

    monkeypatch.setattr(stub, "health", fail)
    built.check()
    assert (state(built), built.status("storage").cause) == (BackendState.DOWN, "operator text")


def test_a_hanging_probe_is_down_and_holds_nobody_up(built, stub, monkeypatch):
    built.open(monitor=False)
    release = threading.Event()
    asked = []

    def hang(self):
        asked.append(self.backend_id)
        if self.backend_id == "second":
            release.wait(30)
        return base.Health(base.HealthState.OK)

    monkeypatch.setattr(stub, "health", hang)
    built.check()
    built.check()
    assert (state(built), state(built, "local")) == (BackendState.DOWN, BackendState.OK)
    assert "0.3 s" in built.status("storage", "second").cause
    assert asked.count("second") == 1
    release.set()
    until(lambda: built.check() or state(built) is BackendState.OK)


def test_requests_never_probe(built, stubs):
    built.open(monitor=False)
    for _ in range(5):
        built.storage()
        built.describe()
        built.unready()
    assert [what for what, _ in sys.modules[stubs].LOG if what == "health"] == []


def test_the_monitor_probes_by_itself(built, stub, monkeypatch):
    built.open()
    monkeypatch.setattr(stub, "state", base.HealthState.DEGRADED)
    until(lambda: state(built) is BackendState.DEGRADED)
    monkeypatch.setattr(stub, "state", base.HealthState.OK)
    until(lambda: state(built) is BackendState.OK)


def test_a_failed_backend_comes_back_alone(built, stub, monkeypatch):
    with monkeypatch.context() as patch:
        real = stub.open

        def failing(self):
            if self.backend_id == "second":
                raise driver_errors.Unavailable("away")
            real(self)

        patch.setattr(stub, "open", failing)
        built.open()
        with pytest.raises(errors.BackendFailed):
            built.storage("second")
    until(lambda: state(built) is BackendState.OK)
    assert built.storage("second").backend_id == "second"


def test_the_pause_of_a_failed_backend_grows(built, stub, monkeypatch):
    tries = []

    def failing(self):
        if self.backend_id == "second":
            tries.append(time.monotonic())
            raise driver_errors.Unavailable("away")

    monkeypatch.setattr(stub, "open", failing)
    built.open()
    until(lambda: len(tries) >= 4)
    assert tries[3] - tries[2] > 0.15


def test_no_thread_is_left_after_close(built):
    built.open()
    until(lambda: any(thread.name == "health" for thread in threading.enumerate()))
    built.close()
    until(lambda: not any(t.name.startswith("health") for t in threading.enumerate()))
