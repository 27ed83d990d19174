"""gunicorn's threaded worker, which slow clients cannot stop."""

import contextlib
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


class Worker(gthread.ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    """Watches each connection while a thread of it waits; see `imagesvc.api.pace`."""

    def init_process(self) -> None:
        """Begin to watch, then serve until a signal."""
        self._pacer = pace.Pacer(pace.limits(opts.load()))
        self._pacer.start()
        super().init_process()

    def handle(self, conn: Any) -> Any:
        """Serve one request; a connection that has sent nothing yet waits without a thread."""
        if not conn.initialized and not conn.wait_for_data(0):
            return gthread._DEFER
        with self._pacer.watch(conn.sock) as watch:
            kept = super().handle(conn)
            watch.end_transfer()
            if not kept:
                _part(conn.sock, LINGER_REFUSED_S if watch.refused else LINGER_S)
        return kept

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
