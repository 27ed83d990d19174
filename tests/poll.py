"""Waiting for what another thread or process does."""

import time

DEADLINE_S = 30.0


def until(check, deadline_s=DEADLINE_S, pause_s=0.01):
    """Call `check` until it is true, and give that; fail after the deadline."""
    end = time.monotonic() + deadline_s
    while not (found := check()):
        assert time.monotonic() < end, "nothing happened in time"
        time.sleep(pause_s)
    return found
