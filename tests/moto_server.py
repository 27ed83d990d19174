"""moto's server, which speaks the API of AWS KMS. A mock: no real one can be had here.

What it gets wrong, as measured with 5.2: a disabled key opens what it wrapped.
"""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator

import requests

from tests import poll
from tests.s3_server import free_ports

START_S = 60.0


@contextlib.contextmanager
def started() -> Iterator[str]:
    """A server without keys; gives its URL."""
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}"
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
    )

    def answers():
        assert process.poll() is None, "moto ended while starting"
        with contextlib.suppress(requests.ConnectionError):
            return requests.get(f"{url}/moto-api/", timeout=10).ok
        return False

    try:
        poll.until(answers, START_S, 0.1)
        yield url
    finally:
        process.kill()
        process.wait()
