"""One service of another project as a process of its own, which ends with these tests."""

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import requests

READY_S = 240.0
STOP_S = 20.0
WORDS = 4000
# A killed test process takes its peers with it.
ALONG = ("setpriv", "--pdeathsig", "KILL", "--")


def need(**commands: str) -> None:
    """Fail at once, and name the Debian packages, where a program (keyword) is missing."""
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    missing = {
        package
        for command, package in commands.items()
        if not shutil.which(command.replace("_", "-"), path=path)
    }
    assert not missing, f"install these Debian packages: {' '.join(sorted(missing))}"


@contextlib.contextmanager
def running(
    command: list[object],
    log: Path,
    ready: Callable[[], bool],
    *,
    environment: Mapping[str, str],
) -> Iterator[None]:
    """Start it, wait until `ready`, and end it with all that it started.

    Fails with the end of its log when it ends early, or is not ready after READY_S.
    """
    with log.open("ab") as output:
        process = subprocess.Popen(
            [str(word) for word in command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**clean(), **environment},
            start_new_session=True,
        )
    try:
        _wait(process, log, ready)
        yield
    finally:
        _end(process)


def clean() -> dict[str, str]:
    """The environment of a peer: nothing that is meant for this project's Python."""
    left_out = ("PYTHON", "OS_", "PYTEST", "VIRTUAL_ENV")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(left_out)}
    kept["PATH"] = f"{kept['PATH']}:/usr/sbin:/sbin"
    return kept | {"PYTHONWARNINGS": "ignore", "no_proxy": "127.0.0.1", "NO_PROXY": "127.0.0.1"}


def run(*command: object, **environment: str) -> None:
    """Run a command of a peer to its end. It fails the test with its own words."""
    done = subprocess.run(
        [str(word) for word in command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**clean(), **environment},
        timeout=READY_S,
        check=False,
    )
    assert done.returncode == 0, (command, done.stdout.decode()[-WORDS:])


def answers(url: str, *statuses: int, headers: Mapping[str, str] | None = None) -> bool:
    """Whether a GET is answered with one of these statuses."""
    try:
        return requests.get(url, headers=headers, timeout=10).status_code in statuses
    except (requests.ConnectionError, requests.Timeout):
        return False


def _wait(process: subprocess.Popen[bytes], log: Path, ready: Callable[[], bool]) -> None:
    end = time.monotonic() + READY_S
    while not ready():
        words = log.read_text(errors="replace")[-WORDS:]
        assert process.poll() is None, f"it ended while starting:\n{words}"
        assert time.monotonic() < end, f"not ready after {READY_S:g} s:\n{words}"
        time.sleep(0.5)


def _end(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM to the process, then SIGKILL to what is left of its session."""
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(STOP_S)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
