"""How fast a client must be, and how many threads long transfers may hold.

The kernel's own counters say what passed a connection, so a thread that hangs in `recv` or
`sendfile` needs no help of its own: a reader or writer that does not move is cut off, and the
call returns as if the client had gone.
"""

import contextlib
import contextvars
import dataclasses
import fcntl
import logging
import socket
import struct
import termios
import threading
import time
from collections.abc import Iterator
from typing import Any

from oslo_config import cfg

from imagesvc import errors

LOG = logging.getLogger(__name__)
API_OPTS = (
    cfg.FloatOpt(
        "body_idle_timeout_s",
        default=30.0,
        min=1.0,
        help="Seconds after which a client that neither sends nor takes a byte is cut off.",
    ),
    cfg.IntOpt(
        "body_min_rate_bytes",
        default=1024,
        min=0,
        help="Bytes a second below which a client is cut off, up or down, on the average of "
        "body_idle_timeout_s; 0: no minimum. Time in which the service is slow does not count.",
    ),
    cfg.IntOpt(
        "reserved_threads",
        default=4,
        min=1,
        help="Threads of each API process that no image bytes pass, kept for short calls. With "
        "all others taken, uploads and downloads get 503 with Retry-After.",
    ),
)
# Linux, struct tcp_info: tcpi_bytes_acked and tcpi_bytes_received, since 4.1.
_TCP_INFO_BYTES = 136
_MOVED = struct.Struct("=QQ")
_MOVED_AT = 120
_SWEEPS = 8  # within one idle timeout
_SWEEP_MAX_S = 1.0


@dataclasses.dataclass(frozen=True, slots=True)
class Limits:
    """Seconds, bytes a second, and transfers at a time."""

    idle_s: float
    rate_bytes: int
    transfers: int


def limits(conf: cfg.ConfigOpts) -> Limits:
    """The limits of one API process; at least one transfer is always possible."""
    return Limits(
        conf.api.body_idle_timeout_s,
        conf.api.body_min_rate_bytes,
        max(1, conf.service.threads - conf.api.reserved_threads),
    )


class Watch:
    """One connection while a thread serves a request on it.

    The thread alone writes what is public here, and the pacer alone what is not. `request` is
    the server's own object, once the head of the request is read.
    """

    def __init__(self, sock: socket.socket, slots: threading.Semaphore, now: float) -> None:
        self._sock = sock
        self._slots = slots
        self._holds_slot = False
        self._moved = self._window_moved = 0
        self._moved_at = self._window_at = now
        self.request: Any = None
        self.receiving = True
        self.too_slow = False
        self.refused = False

    @contextlib.contextmanager
    def receive(self) -> Iterator[None]:
        """While the thread waits for the client to send."""
        self.receiving = True
        try:
            yield
        finally:
            self.receiving = False

    def begin_transfer(self) -> None:
        """Take one of the threads for long transfers.

        Raises Overloaded if none is left.
        """
        if not self._slots.acquire(blocking=False):
            self.refused = True
            raise errors.Overloaded()
        self._holds_slot = True

    def hang_up(self) -> None:
        """Close the connection after this answer, and say so, instead of reading the body."""
        if self.request is not None:
            self.request.must_close = True

    def end_transfer(self) -> None:
        """Give the thread back, if one was taken."""
        if self._holds_slot:
            self._slots.release()
            self._holds_slot = False

    def judge(self, now: float, limits: Limits) -> None:
        """Cut the client off if it is its turn to move, and it does not."""
        moved, unread, unsent = _counters(self._sock)
        if not (self.receiving and not unread) and not unsent:
            self._moved = self._window_moved = moved
            self._moved_at = self._window_at = now
            return
        if moved != self._moved:
            self._moved, self._moved_at = moved, now
        if now - self._moved_at >= limits.idle_s:
            self._cut("silent", unsent)
        elif (passed := now - self._window_at) >= limits.idle_s:
            if moved - self._window_moved < limits.rate_bytes * passed:
                self._cut("slow", unsent)
            self._window_moved, self._window_at = moved, now

    def _cut(self, fault: str, unsent: int) -> None:
        self.too_slow = True
        LOG.info("client cut off fault=%s unsent=%s", fault, unsent)
        # One that does not send may still read why; one that does not read will not.
        self._sock.shutdown(socket.SHUT_RDWR if unsent else socket.SHUT_RD)


current: contextvars.ContextVar[Watch | None] = contextvars.ContextVar("watch", default=None)


@contextlib.contextmanager
def transfer() -> Iterator[None]:
    """Hold one of the threads for long transfers for a block. Raises Overloaded if none is left."""
    watch = current.get()
    if watch is None:
        yield
        return
    watch.begin_transfer()
    try:
        yield
    finally:
        watch.end_transfer()


class Pacer:
    """Watches the connections of one process, in a thread of its own."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._slots = threading.Semaphore(limits.transfers)
        self._lock = threading.Lock()
        self._watches: set[Watch] = set()

    def start(self) -> None:
        """Begin to look, until the process ends."""
        threading.Thread(target=self._run, name="pacer", daemon=True).start()

    @contextlib.contextmanager
    def watch(self, sock: socket.socket) -> Iterator[Watch]:
        """Watch a connection while this thread serves a request on it."""
        watch = Watch(sock, self._slots, time.monotonic())
        with self._lock:
            self._watches.add(watch)
        token = current.set(watch)
        try:
            yield watch
        finally:
            current.reset(token)
            with self._lock:
                self._watches.discard(watch)
            watch.end_transfer()

    def sweep(self, now: float) -> None:
        """Judge each client once; `now` in seconds of the monotonic clock."""
        with self._lock:
            watches = tuple(self._watches)
        for watch in watches:
            with contextlib.suppress(OSError, ValueError):  # closed meanwhile
                watch.judge(now, self._limits)

    def _run(self) -> None:
        pause = min(self._limits.idle_s / _SWEEPS, _SWEEP_MAX_S)
        while True:
            time.sleep(pause)
            self.sweep(time.monotonic())


def _counters(sock: socket.socket) -> tuple[int, int, int]:
    """Bytes that passed either way, that wait for us, and that wait for the client."""
    info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_BYTES)
    acked, received = _MOVED.unpack_from(info, _MOVED_AT)
    unread, unsent = (
        struct.unpack("=i", fcntl.ioctl(sock, which, bytes(4)))[0]
        for which in (termios.FIONREAD, termios.TIOCOUTQ)
    )
    return acked + received, unread, unsent
