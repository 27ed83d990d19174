"""Children of the supervisor that die are started again."""

import os
import re
import signal
import time

import pytest

from tests.client.conftest import START_S, wait_ready

pytestmark = pytest.mark.slow


def newest(service, name):
    """The process id of the child, as the log has it."""
    log = (service.folder / "log").read_text()
    return int(re.findall(rf"supervisor {name} started pid=(\d+)", log)[-1])


@pytest.mark.parametrize("name", ["api", "worker"])
def test_a_killed_child_comes_back(running_service, name):
    before = newest(running_service, name)
    os.kill(before, signal.SIGKILL)
    deadline = time.monotonic() + START_S
    while newest(running_service, name) == before:
        assert time.monotonic() < deadline, f"{name} did not come back"
        time.sleep(0.1)
    wait_ready(running_service)
    running_service.openstack("image", "list")
