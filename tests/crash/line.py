"""A connection that counts what goes over it, and can be cut."""

import contextlib
import socket
import threading


class Line:
    """Hands connections on to a port; `sent` counts the bytes of clients."""

    def __init__(self, port):
        self._target, self._open = port, []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.sent = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        """Take no more."""
        self._listener.close()

    def cut(self):
        """Break off what is open."""
        for one in self._open:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def _accept(self):
        while True:
            try:
                ours, _ = self._listener.accept()
                theirs = socket.create_connection(("127.0.0.1", self._target))
            except ConnectionError:  # nobody is there just now
                ours.close()
                continue
            except OSError:
                return
            self._open += [ours, theirs]
            for source, target in ((ours, theirs), (theirs, ours)):
                threading.Thread(
                    target=self._carry, args=(source, target, source is ours), daemon=True
                ).start()

    def _carry(self, source, target, count):
        try:
            while data := source.recv(1 << 16):
                self.sent += len(data) if count else 0
                target.sendall(data)
        except OSError:
            pass
        finally:
            for one in (source, target):
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
