"""How gunicorn is told to serve."""

import multiprocessing
import os
import signal
import time

import pytest

from imagesvc import opts
from imagesvc.cmd import gunicorn_conf

FORKS = multiprocessing.get_context("fork")
LIMIT_S = 30.0


def _born(ready):
    """A worker in the middle of its start, with the signals of its master."""
    signal.signal(signal.SIGTERM, lambda number, frame: None)
    signal.signal(signal.SIGQUIT, lambda number, frame: None)

    def slow():
        ready.set()
        time.sleep(LIMIT_S)

    opts.load = slow
    gunicorn_conf.post_fork(None, None)


@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGQUIT])
def test_a_stop_ends_a_worker_that_was_just_born(number):
    ready = FORKS.Event()
    worker = FORKS.Process(target=_born, args=(ready,))
    worker.start()
    assert ready.wait(LIMIT_S)
    os.kill(worker.pid, number)
    worker.join(LIMIT_S / 2)
    assert worker.exitcode == -number
