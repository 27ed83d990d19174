"""The supervisor gives up on what will not run, and says so."""

import os
import re
import signal
import sys
import threading
import time

import pytest

from imagesvc.cmd import supervisor

DEADLINE_S = 60.0


@pytest.fixture(autouse=True)
def _short(monkeypatch):
    """Pauses and handlers of a test; the handlers of this process come back."""
    monkeypatch.setattr(supervisor, "PAUSE_S", (0.0, 0.0))
    monkeypatch.setattr(supervisor, "TICK_S", 0.01)
    kept = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)


def child(name, text):
    """A child that runs a line of Python."""
    return supervisor.Child(name, [sys.executable, "-S", "-c", text])


def test_a_child_that_ends_at_its_start_over_and_over_ends_the_whole(capfd):
    steady = child("worker", "import time; time.sleep(3600)")
    code = supervisor.Supervisor([steady, child("api", "raise SystemExit(3)")]).run()
    said = capfd.readouterr().err
    assert code == supervisor.EXIT_GAVE_UP
    assert said.count("api started") == supervisor.QUICK_ENDS_MAX
    assert "ERROR supervisor api ended 6 times within 10 s of its start, last code=3" in said
    assert "worker ended code=-15" in said


def test_a_child_that_refuses_its_configuration_ends_the_whole_at_once(capfd):
    code = supervisor.Supervisor([child("api", "raise SystemExit(2)")]).run()
    said = capfd.readouterr().err
    assert code == 2
    assert said.count("api started") == 1
    assert "ERROR supervisor api refuses its configuration" in said


def test_a_child_that_ran_for_longer_between_is_started_again(monkeypatch, capfd):
    monkeypatch.setattr(supervisor, "QUICK_S", 0.0)
    seen = []
    thread = threading.Thread(target=_end_when_tried_often, args=(capfd, seen))
    thread.start()
    assert supervisor.Supervisor([child("api", "raise SystemExit(1)")]).run() == 0
    thread.join()
    assert len(seen) > supervisor.QUICK_ENDS_MAX


def _end_when_tried_often(capfd, seen):
    deadline = time.monotonic() + DEADLINE_S
    while len(seen) <= supervisor.QUICK_ENDS_MAX and time.monotonic() < deadline:
        seen += re.findall("api started", capfd.readouterr().err)
        time.sleep(0.05)
    os.kill(os.getpid(), signal.SIGTERM)
