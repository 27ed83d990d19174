"""imagesvc-supervisor: the API and one worker under one small parent.

A child that dies is started again after a pause that grows while it keeps dying. A child that
refuses its configuration ends the whole, and so does one that ends `QUICK_ENDS_MAX` times within
`QUICK_S` of its start without having run for longer between: it will not help to go on. SIGTERM and SIGINT are passed on. The lock on the
pid file says whether a supervisor runs; a second one refuses to start.
"""

import argparse
import ctypes
import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from imagesvc import errors
from imagesvc.cmd import command_line

PROG = "imagesvc-supervisor"
PAUSE_S = (1.0, 30.0)
STEADY_S = 60.0
QUICK_S = 10.0
QUICK_ENDS_MAX = 6  # with the pauses between them, about a minute of a database that is away
EXIT_GAVE_UP = 1
GRACE_S = 75.0
TICK_S = 0.2
_PR_SET_PDEATHSIG = 1


def _follow_parent() -> None:
    """Get SIGTERM when the supervisor dies, so that a kill leaves no half of the service."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


class Child:
    """One process that shall run."""

    def __init__(self, name: str, args: Sequence[str]) -> None:
        self.name = name
        self._args = list(args)
        self._process: subprocess.Popen[bytes] | None = None
        self._pause_s = PAUSE_S[0]
        self._started = 0.0
        self._start_at = 0.0
        self._quick_ends = 0

    @property
    def hopeless(self) -> bool:
        """Whether it ended soon after its start over and over."""
        return self._quick_ends >= QUICK_ENDS_MAX

    def tick(self, now: float) -> int | None:
        """Start it if it is time; return the exit code if it just ended."""
        if self._process is None:
            if now >= self._start_at:
                self._process = subprocess.Popen(
                    self._args, preexec_fn=_follow_parent, stdin=subprocess.DEVNULL
                )
                self._started = now
                _say(f"{self.name} started pid={self._process.pid}")
            return None
        code = self._process.poll()
        if code is None:
            return None
        if now - self._started > STEADY_S:
            self._pause_s = PAUSE_S[0]
        self._quick_ends = self._quick_ends + 1 if now - self._started < QUICK_S else 0
        _say(f"{self.name} ended code={code} restart_s={self._pause_s:g}")
        self._start_at = now + self._pause_s
        self._pause_s = min(self._pause_s * 2, PAUSE_S[1])
        self._process = None
        return code

    def stop(self) -> None:
        """Ask it to end."""
        if self._process is not None:
            self._process.terminate()

    def join(self, deadline: float) -> None:
        """Wait for its end; after `deadline` force it."""
        if self._process is None:
            return
        try:
            code = self._process.wait(max(deadline - time.monotonic(), 0.1))
        except subprocess.TimeoutExpired:  # the one place where patience ends
            self._process.kill()
            code = self._process.wait()
        _say(f"{self.name} ended code={code}")
        self._process = None


class Supervisor:
    """Keeps the children running until it is told to stop."""

    def __init__(self, children: Sequence[Child]) -> None:
        self._children = children
        self._stopping = False

    def run(self) -> int:
        """Return 0 after a signal, else the code for a child that will not run."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        code = 0
        while not self._stopping and not code:
            now = time.monotonic()
            for child in self._children:
                code = code or _verdict(child, child.tick(now))
            time.sleep(TICK_S)
        for child in self._children:
            child.stop()
        deadline = time.monotonic() + GRACE_S
        for child in self._children:
            child.join(deadline)
        return code

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self._stopping = True


def _verdict(child: Child, code: int | None) -> int:
    """The code with which the whole has to end because of this child; 0 to go on."""
    if code == command_line.EXIT_REFUSED:
        _say(
            f"{child.name} refuses its configuration, its own line above says why: "
            "giving up; see also imagesvc-manage config check",
            "ERROR",
        )
        return command_line.EXIT_REFUSED
    if code is not None and child.hopeless:
        _say(
            f"{child.name} ended {QUICK_ENDS_MAX} times within {QUICK_S:g} s of its start, last "
            f"code={code}: giving up; see its lines above and imagesvc-manage config check",
            "ERROR",
        )
        return EXIT_GAVE_UP
    return 0


def _say(text: str, level: str = "INFO") -> None:
    stamp = time.strftime("%Y-%m-%d %H:%M:%S")
    print(f"{stamp} {os.getpid()} {level} supervisor {text}", file=sys.stderr, flush=True)


def _lock(path: Path) -> int:
    """Take the pid file; it stays locked as long as this process lives."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as exc:
        raise errors.ConfigurationError(f"A supervisor runs already: it holds {path}.") from exc
    os.ftruncate(descriptor, 0)
    os.write(descriptor, f"{os.getpid()}\n".encode())
    return descriptor


def _supervise(parsed: argparse.Namespace) -> int:
    conf = command_line.load(parsed)
    path = Path(parsed.pid_file or Path(conf.service.state_dir) / "supervisor.pid")
    descriptor = _lock(path)
    children = [
        Child(name, [sys.executable, "-m", f"imagesvc.cmd.{name}"]) for name in ("api", "worker")
    ]
    code = Supervisor(children).run()
    os.ftruncate(descriptor, 0)
    os.close(descriptor)
    return code


def main(argv: Sequence[str] | None = None) -> int:
    """Run API and worker until a signal."""
    parser = command_line.parser(PROG, "Run the API and one worker, and keep them running.")
    parser.add_argument(
        "--pid-file", metavar="FILE", help="default: supervisor.pid in [service] state_dir"
    )
    parsed = parser.parse_args(argv)
    return command_line.run(PROG, lambda: _supervise(parsed))


if __name__ == "__main__":
    sys.exit(main())
