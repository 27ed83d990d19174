"""gunicorn's threaded worker, which slow clients cannot stop."""

import contextlib
import re
import select
import socket
import time
from typing import Any

from gunicorn.workers import gthread

from imagesvc import opts
from imagesvc.api import pace

LINGER_S = 1.0
LINGER_REFUSED_S = 0.1
LINGER_BYTES = 1 << 20
_PIECE_BYTES = 1 << 16
# A client that answers an answer at once is served on in the same thread; one that holds it
# so long gives way to others that wait.
NEXT_WAIT_MS = 1
IN_A_ROW_MAX = 64
# More than gunicorn takes of a head: it refuses the rest without waiting.
_HEAD_BYTES = 1 << 16
_HEAD_END = re.compile(rb"\n\r?\n")


class Worker(gthread.ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    """Watches each connection while a thread of it waits; see `imagesvc.api.pace`.

    A connection gets a thread when the whole head of a request has come, not before.
    """

    def init_process(self) -> None:
        """Begin to watch, then serve until a signal."""
        limits = pace.limits(opts.load())
        self._head_s = limits.idle_s
        self._pacer = pace.Pacer(limits)
        self._pacer.start()
        super().init_process()

    def handle(self, conn: Any) -> Any:
        """Serve a request, and those that follow at once.

        A connection that has not sent its head waits without a thread. To hand it to the main
        thread and back takes as long as a short answer.
        """
        if not self.cfg.is_ssl and not self._has_head(conn):
            return gthread._DEFER
        for _ in range(IN_A_ROW_MAX):
            kept = self._serve(conn)
            if not kept or not self.alive or not self._sends_on(conn):
                return kept
            if not self._has_head(conn):
                return gthread._DEFER
        return True

    def _sends_on(self, conn: Any) -> bool:
        """Wait a moment for the next request. What the parser holds is left to gunicorn."""
        if self.cfg.is_ssl or conn.parser.unreader.buf.getvalue():
            return False
        poll = select.poll()
        poll.register(conn.sock, select.POLLIN)
        return bool(poll.poll(NEXT_WAIT_MS))

    def _serve(self, conn: Any) -> bool:
        with self._pacer.watch(conn.sock) as watch:
            kept = super().handle(conn)
            watch.end_transfer()
            if not kept:
                _part(conn.sock, LINGER_REFUSED_S if watch.refused else LINGER_S)
        return bool(kept)

    def _has_head(self, conn: Any) -> bool:
        """Look at what has come, without taking it; if more must come, wake up only for that."""
        try:
            came = conn.sock.recv(_HEAD_BYTES, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except OSError:  # broken: the server's own reading finds out how
            return True
        held = conn.parser.unreader.buf.getvalue() if conn.parser else b""
        head = (held + came).lstrip(b"\r\n")
        seen = getattr(conn, "head_seen", 0)
        # Awake, and nothing new: no more will come.
        ended = not came or len(came) == seen or len(came) == _HEAD_BYTES
        whole = ended or _HEAD_END.search(head) is not None
        if not whole and not seen:
            conn.head_by = time.monotonic() + self._head_s
        conn.head_seen = 0 if whole else len(came)
        if seen or not whole:
            conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, conn.head_seen + 1)
        return whole

    def murder_pending(self) -> None:
        """Close connections that have sent nothing, or a part of a head, for too long."""
        now = time.monotonic()
        for conn in tuple(self.pending_conns):
            partly = getattr(conn, "head_seen", 0)
            if now < (min(conn.timeout, conn.head_by) if partly else conn.timeout):
                continue
            self.pending_conns.remove(conn)
            with contextlib.suppress(OSError, KeyError, ValueError):  # not waited for any more
                self.poller.unregister(conn.sock)
            self.nr_conns -= 1
            conn.close()

    def handle_request(self, req: Any, conn: Any) -> Any:
        """Hand the request to the application."""
        watch = pace.current.get()
        if watch is not None:
            watch.request = req
            watch.receiving = False
        return super().handle_request(req, conn)


def _part(sock: socket.socket, patience_s: float) -> None:
    """End a connection, so that the main thread has nothing to wait for when it closes it.

    What the client still sends is read for a moment: unread bytes would make the kernel reset
    the connection, and the client might miss the answer.
    """
    deadline = time.monotonic() + patience_s
    left = LINGER_BYTES
    with contextlib.suppress(OSError):  # gone already, or silent
        sock.shutdown(socket.SHUT_WR)
        while left > 0 and (rest := deadline - time.monotonic()) > 0:
            sock.settimeout(rest)
            if not (data := sock.recv(_PIECE_BYTES)):
                break
            left -= len(data)
    with contextlib.suppress(OSError):  # not connected any more
        sock.shutdown(socket.SHUT_RD)
