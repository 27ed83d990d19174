"""imagesvc-api: several processes, one set of numbers, one form of log line."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest

from tests.client.conftest import free_port

START_S = 60.0
REQUESTS = 40

CONF = """
[service]
bind_port = {port}
workers = 3
[metrics]
bind_port = {metrics}
[log]
format = json
file = {folder}/service.log
"""


@contextlib.contextmanager
def running(installation):
    """The command, until the end of the block."""
    command = [sys.executable, "-m", "imagesvc.cmd.api"]
    command += ["--config-file", str(installation.folder / "imagesvc.conf")]
    with (installation.folder / "err").open("ab") as err:
        process = subprocess.Popen(command, stdout=err, stderr=err, env=os.environ)
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(START_S) == 0


def get(port, path):
    """Status and text."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read().decode()


def wait(installation, port):
    """Until it answers."""
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            return get(port, "/v2/nothing")
        time.sleep(0.1)
    return pytest.fail((installation.folder / "err").read_text())


def live_requests(text):
    """How often liveness was asked for, as the metrics have it."""
    line = 'imagesvc_http_requests_total{method="GET",route="/healthcheck",status="200"} '
    return sum(float(row.removeprefix(line)) for row in text.splitlines() if row.startswith(line))


def test_all_processes_count_together_and_write_one_form(installation):
    port, metrics = free_port(), free_port()
    installation.configure(CONF.format(folder=installation.folder, port=port, metrics=metrics))
    with running(installation):
        wait(installation, port)
        for _ in range(REQUESTS):
            assert get(port, "/healthcheck")[0] == 200
        for _ in range(5):
            assert live_requests(get(metrics, "/metrics")[1]) == REQUESTS
        assert get(port, "/metrics")[0] == 404
    lines = (installation.folder / "service.log").read_text().splitlines()
    found = [json.loads(line) for line in lines]
    served = [one for one in found if one.get("facts", {}).get("path") == "/healthcheck"]
    assert len(served) == REQUESTS
    assert len({one["process"] for one in found}) > 1
    assert {one["logger"] for one in found} >= {"gunicorn.error", "imagesvc.access"}
    with running(installation):
        wait(installation, port)
        assert live_requests(get(metrics, "/metrics")[1]) == 0


def test_a_network_that_is_none_is_refused_in_one_line(installation):
    installation.configure("[metrics]\nallowed_networks = here\n")
    done = installation.run("api")
    assert done.returncode == 2
    assert done.stderr.startswith("imagesvc-api: [metrics] allowed_networks: 'here'")
    assert len(done.stderr.splitlines()) == 1
