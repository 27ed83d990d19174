"""The agent inside a guest: file systems are frozen round one instant.

Protocol: QEMU guest agent (docs/interop/qemu-ga-ref of QEMU): one JSON object a line over the
virtio-serial port `org.qemu.guest_agent.0`. The caller holds the server's folder lock. What a
guest answers is not trusted: it is bounded, and anything odd counts as silence.
"""

import contextlib
import json
import secrets
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PORT = "org.qemu.guest_agent.0"
_DELIMITER = b"\xff"
_ANSWER_BYTES_MAX = 64 << 10
_READ_BYTES = 4096


class Silent(Exception):
    """No agent, or none that answers in time and in order."""


def freeze(path: Path, timeout_s: float) -> bool | None:
    """Freeze the guest's file systems; whether any are for sure.

    None: there is no agent that answers, so nothing was asked. Otherwise `thaw` has to follow.
    """
    try:
        with _visit(path, timeout_s) as visit:
            return bool(_count(visit, "guest-fsfreeze-freeze"))
    except (Silent, OSError):
        return None


def thaw(path: Path, timeout_s: float) -> int | None:
    """Let the guest write again: how many file systems were frozen until now, None if unknown."""
    try:
        with _visit(path, timeout_s) as visit:
            return _count(visit, "guest-fsfreeze-thaw")
    except (Silent, OSError):
        return None


def _count(visit: "_Visit", command: str) -> int | None:
    """The number that a command answers; 0 if the guest refuses it, None without an answer."""
    try:
        found = visit.ask(command).get("return", 0)
    except (Silent, OSError):
        return None
    return found if isinstance(found, int) else 0


class _Visit:
    """A connection whose answers are those of its own questions."""

    def __init__(self, line: socket.socket, deadline: float) -> None:
        self._line = line
        self._deadline = deadline
        self._kept = b""

    def sync(self) -> None:
        """Skip what was left of earlier visits: the agent says our number behind a delimiter."""
        number = secrets.randbelow(1 << 31)
        self._send("guest-sync-delimited", {"id": number})
        while True:
            self._until(_DELIMITER)
            if self._answer().get("return") == number:
                return

    def ask(self, command: str) -> dict[str, Any]:
        """The answer to a command."""
        self._send(command, None)
        return self._answer()

    def _send(self, command: str, arguments: dict[str, Any] | None) -> None:
        body: dict[str, Any] = {"execute": command}
        if arguments:
            body["arguments"] = arguments
        self._line.settimeout(self._left())
        # The delimiter before it ends whatever half a line another visit may have left.
        self._line.sendall((_DELIMITER if arguments else b"") + json.dumps(body).encode() + b"\n")

    def _answer(self) -> dict[str, Any]:
        try:
            found = json.loads(self._until(b"\n"))
        except ValueError as exc:
            raise Silent from exc
        return found if isinstance(found, dict) else {}

    def _until(self, end: bytes) -> bytes:
        while end not in self._kept:
            if len(self._kept) > _ANSWER_BYTES_MAX:
                raise Silent
            self._line.settimeout(self._left())
            data = self._line.recv(_READ_BYTES)
            if not data:
                raise Silent
            self._kept += data
        found, _, self._kept = self._kept.partition(end)
        return found

    def _left(self) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise Silent
        return left


@contextlib.contextmanager
def _visit(path: Path, timeout_s: float) -> Iterator[_Visit]:
    """Be heard by the agent. Raises Silent, OSError."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
        line.settimeout(timeout_s)
        line.connect(str(path))
        visit = _Visit(line, time.monotonic() + timeout_s)
        visit.sync()
        yield visit
