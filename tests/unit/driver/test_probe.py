"""A health check tells what it knows in its time."""

import threading
import time

from imagesvc.interface import errors
from imagesvc.interface.base import HealthState
from imagesvc_drivers.client import probe


def ended(one):
    """Its health once the call has ended."""
    end = time.monotonic() + 10
    while (found := one.health()).state is HealthState.DEGRADED:
        assert time.monotonic() < end
    return found


def test_a_call_that_ends_in_time_is_told():
    assert probe.Probe(lambda: None).health().state is HealthState.OK

    def fail():
        raise errors.Unavailable("away", "connection refused")

    found = probe.Probe(fail).health()
    assert (found.state, found.detail) == (HealthState.DOWN, "connection refused")


def test_a_call_that_takes_its_time_is_degraded_then_told(monkeypatch):
    monkeypatch.setattr(probe, "WAIT_S", 0.05)
    go, calls = threading.Event(), []

    def ask():
        calls.append(threading.current_thread())
        go.wait(10)

    one = probe.Probe(ask)
    assert [one.health().state for _ in range(3)] == [HealthState.DEGRADED] * 3
    assert len(calls) == 1
    go.set()
    assert ended(one).state is HealthState.OK


def test_what_was_down_stays_so_until_a_call_ends_well(monkeypatch):
    monkeypatch.setattr(probe, "WAIT_S", 0.05)
    go, away = threading.Event(), [True]

    def ask():
        if away:
            raise errors.Unavailable("away", "connection refused")
        go.wait(10)

    one = probe.Probe(ask)
    assert one.health().state is HealthState.DOWN
    away.clear()
    assert one.health().state is HealthState.DOWN
    go.set()
    end = time.monotonic() + 10
    while one.health().state is not HealthState.OK:
        assert time.monotonic() < end
