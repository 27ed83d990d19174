"""A tool's process: its output read with a bound, its end within a time."""

import contextlib
import os
import selectors
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from imagesvc.interface import errors

OUTPUT_BYTES_MAX = 8 << 20
_READ_BYTES = 64 << 10
_CANCEL_POLL_S = 0.2


class Cancelled(errors.DriverError):
    """The caller's event ended the run."""


class EndlessOutput(errors.DriverError):
    """The tool wrote more than OUTPUT_BYTES_MAX and was ended."""


@dataclass(frozen=True, slots=True)
class Result:
    """How a tool ended and what it wrote; `returncode` is above 128 or negative for signals."""

    returncode: int
    stdout: bytes
    stderr: bytes


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """End what is left of the run. Before the wait the leader's pid cannot be reused."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):  # all of the group ended by itself
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def collect(
    process: subprocess.Popen[bytes],
    tool: str,
    wall_s: float,
    on_stdout: Callable[[bytes], None] | None,
    cancel: threading.Event | None,
) -> Result:
    """Read both pipes to their ends, then wait; whoever calls kills what remains."""
    deadline = time.monotonic() + wall_s
    held: dict[str, bytearray] = {"stdout": bytearray(), "stderr": bytearray()}
    with selectors.DefaultSelector() as selector:
        for name, pipe in (("stdout", process.stdout), ("stderr", process.stderr)):
            if pipe is not None:
                selector.register(pipe, selectors.EVENT_READ, name)
        while selector.get_map():
            if cancel is not None and cancel.is_set():
                raise Cancelled("The run was cancelled.")
            left = _left(deadline, tool, wall_s)
            for key, _ in selector.select(min(left, _CANCEL_POLL_S) if cancel else left):
                data = os.read(key.fd, _READ_BYTES)
                if not data:
                    selector.unregister(key.fileobj)
                elif key.data == "stdout" and on_stdout is not None:
                    on_stdout(data)
                else:
                    held[key.data] += data
                    if len(held[key.data]) > OUTPUT_BYTES_MAX:
                        raise EndlessOutput(
                            "The image cannot be read.", f"{tool} wrote endless output."
                        )
    try:
        process.wait(_left(deadline, tool, wall_s))
    except subprocess.TimeoutExpired:
        _left(0, tool, wall_s)
    return Result(process.returncode, bytes(held["stdout"]), bytes(held["stderr"]))


def _left(deadline: float, tool: str, wall_s: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise errors.Timeout(
            "The image takes too much time to read.",
            f"{tool} reached its time limit of {wall_s} s.",
            retryable=False,
        )
    return left
