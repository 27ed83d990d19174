"""The guest's disk as bytes: a raw file, or a socket that serves it over NBD.

Protocol: NetworkBlockDevice/nbd, doc/proto.md, fixed newstyle with simple replies.
"""

import contextlib
import os
import socket
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import Protocol

READ_BYTES_MAX = 1 << 20
_POLL_S = 0.005
_NBD_MAGIC, _OPTION_MAGIC = 0x4E42444D41474943, 0x49484156454F5054
_REQUEST_MAGIC, _REPLY_MAGIC = 0x25609513, 0x67446698
_FIXED_NEWSTYLE, _NO_ZEROES = 1, 2
_OPT_EXPORT_NAME, _CMD_READ = 1, 0


class View(Protocol):
    """A disk of `size` bytes; bytes that cannot be had are missing at the end of an answer."""

    size: int

    def read(self, offset: int, length: int) -> bytes:
        """Give at most `length` bytes, which is at most READ_BYTES_MAX, from `offset`."""


class FileView:
    """A raw file."""

    def __init__(self, path: str) -> None:
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self.size = os.fstat(self._fd).st_size

    def read(self, offset: int, length: int) -> bytes:
        """See View."""
        if not 0 <= offset < self.size:
            return b""
        return os.pread(self._fd, min(length, READ_BYTES_MAX), offset)


class NbdView:
    """What a unix socket serves; it is waited for while `coming()` is true. Raises OSError."""

    def __init__(self, path: str, coming: Callable[[], bool] = lambda: False) -> None:
        self._socket = _connect(path, coming)
        magic, option, _ = struct.unpack(">QQH", self._receive(18))
        if (magic, option) != (_NBD_MAGIC, _OPTION_MAGIC):
            raise OSError("no NBD server")
        self._socket.sendall(
            struct.pack(">IQII", _FIXED_NEWSTYLE | _NO_ZEROES, _OPTION_MAGIC, _OPT_EXPORT_NAME, 0)
        )
        self.size, _ = struct.unpack(">QH", self._receive(10))
        self._cookie = 0

    def read(self, offset: int, length: int) -> bytes:
        """See View."""
        length = min(length, READ_BYTES_MAX, self.size - offset)
        if offset < 0 or length <= 0:
            return b""
        self._cookie += 1
        self._socket.sendall(
            struct.pack(">IHHQQI", _REQUEST_MAGIC, 0, _CMD_READ, self._cookie, offset, length)
        )
        magic, error, cookie = struct.unpack(">IIQ", self._receive(16))
        if (magic, cookie) != (_REPLY_MAGIC, self._cookie):
            raise OSError("the NBD server answers something else")
        return b"" if error else self._receive(length)

    def _receive(self, length: int) -> bytes:
        data = bytearray()
        while len(data) < length:
            part = self._socket.recv(length - len(data))
            if not part:
                raise OSError("the NBD server has gone")
            data += part
        return bytes(data)


def _connect(path: str, coming: Callable[[], bool]) -> socket.socket:
    while True:
        still = coming()
        made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            made.connect(path)
        except (FileNotFoundError, ConnectionRefusedError):
            made.close()
            if not still:
                raise
            time.sleep(_POLL_S)
        else:
            return made


@contextlib.contextmanager
def serving(path: str, tool: str, disk_format: str, place: str) -> Iterator[NbdView]:
    """Serve an image in the named format, which is never probed, on the socket `path`.

    Raises OSError if it does not open.
    """
    argv = [tool, "--read-only", "-f", disk_format, "-k", path, place]
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as server:
        try:
            yield NbdView(path, lambda: server.poll() is None)
        finally:
            server.kill()
