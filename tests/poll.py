"""Waiting for what another thread or process does."""

import time

DEADLINE_S = 30.0


def until(check, deadline_s=DEADLINE_S):
    """Call `check` until it is true; fail after the deadline."""
    end = time.monotonic() + deadline_s
    while not check():
        assert time.monotonic() < end, "nothing happened in time"
        time.sleep(0.01)
