"""The serial console: a log file to read, a socket to type into."""

import array
import fcntl
import socket
import termios
import time
from pathlib import Path

from imagesvc.interface import errors

READ_BYTES_MAX = 1 << 20
WRITE_BYTES_MAX = 64 << 10
_PAUSE_S = 0.01


def read(log: Path, offset: int) -> bytes:
    """At most 1 MiB of the log from `offset`; empty at its end."""
    if offset < 0:
        raise errors.InvalidArgument(f"The offset {offset} is negative.")
    try:
        with log.open("rb") as stream:
            stream.seek(offset)
            return stream.read(READ_BYTES_MAX)
    except FileNotFoundError:
        return b""


def write(path: Path, data: bytes, *, timeout_s: float) -> None:
    """Type `data`; returns when QEMU has taken all of it. Raises Unavailable, Timeout.

    QEMU drops what it has not read when its client goes, hence the wait for an empty queue.
    """
    deadline = time.monotonic() + timeout_s
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(timeout_s)
        try:
            client.connect(str(path))
            client.sendall(data)
            while _unread(client):
                if time.monotonic() > deadline:
                    raise TimeoutError
                time.sleep(_PAUSE_S)
        except TimeoutError as exc:
            raise errors.Timeout("The server does not read its console.") from exc
        except OSError as exc:
            raise errors.Unavailable("The console cannot be reached.", str(exc)) from exc


def _unread(client: socket.socket) -> int:
    """Bytes that the other side has not taken yet (unix(7), SIOCOUTQ)."""
    count = array.array("i", [0])
    fcntl.ioctl(client, termios.TIOCOUTQ, count)
    return count[0]
