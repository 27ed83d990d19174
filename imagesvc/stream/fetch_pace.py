"""How long a fetch may take: every byte that a server sends passes one clock."""

import io
import socket
import time
from typing import Any


class Pace:
    """The clock of one fetch, in seconds and bytes a second; one thread.

    All of its bounds hold for each byte that is read, of heads, chunk sizes and bodies alike: a
    server that drips cannot hold a thread longer than one that is silent.
    """

    def __init__(self, *, idle_s: float, rate_bytes: int, total_s: float) -> None:
        self._idle_s = idle_s
        self._rate_bytes = rate_bytes
        self._end = self._phase_end = time.monotonic() + total_s
        self._waited_s = 0.0
        self._moved = 0

    def begin_head(self, seconds: float) -> None:
        """From now on the head of an answer must be there within `seconds`."""
        self._phase_end = min(time.monotonic() + seconds, self._end)

    def begin_body(self) -> None:
        """The head is there: from now on only idleness, rate and the total count."""
        self._phase_end = self._end
        self._waited_s, self._moved = 0.0, 0

    def left_s(self) -> float:
        """Seconds that the next call may take. Raises TimeoutError if there are none."""
        left = min(self._idle_s, self._phase_end - time.monotonic())
        if left <= 0:
            raise TimeoutError("the time is over")
        return left

    def receive(self, sock: socket.socket, buffer: Any) -> int:
        """Read what is there; 0 at the end. Raises TimeoutError, OSError."""
        begun = time.monotonic()
        sock.settimeout(self.left_s())
        count = sock.recv_into(buffer)
        self._waited_s += time.monotonic() - begun
        self._moved += count
        if self._waited_s >= self._idle_s:
            if self._moved < self._rate_bytes * self._waited_s:
                raise TimeoutError("the server is too slow")
            self._waited_s, self._moved = 0.0, 0
        return count


class PacedSocket:
    """A connected socket as `http.client` takes it; whoever made the real one closes it."""

    def __init__(self, sock: socket.socket, pace: Pace) -> None:
        self._sock = sock
        self._pace = pace

    def sendall(self, data: bytes) -> None:
        """Send the head of the request."""
        self._sock.settimeout(self._pace.left_s())
        self._sock.sendall(data)

    def makefile(self, mode: str) -> io.BufferedReader:
        """What the answer is read from."""
        del mode  # an answer is only ever read as bytes
        return io.BufferedReader(_Raw(self._sock, self._pace), 64 << 10)

    def close(self) -> None:
        """Do nothing: an answer is read on after its connection was let go."""


class _Raw(io.RawIOBase):
    def __init__(self, sock: socket.socket, pace: Pace) -> None:
        self._sock = sock
        self._pace = pace

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._pace.receive(self._sock, buffer)
