"""A client of an NBD server on a unix socket that reads an export from its begin to its end.

Protocol: NetworkBlockDevice/nbd, doc/proto.md; fixed newstyle with simple replies.
"""

import collections
import io
import socket
import struct
from pathlib import Path
from typing import Any

from imagesvc.interface import errors

_NBD_MAGIC, _OPTION_MAGIC = 0x4E42444D41474943, 0x49484156454F5054
_REQUEST_MAGIC, _REPLY_MAGIC = 0x25609513, 0x67446698
_FIXED_NEWSTYLE, _NO_ZEROES, _OPT_EXPORT_NAME = 1, 2, 1
_CMD_READ = 0
# So many requests are on their way at once, so that the server works while its bytes are used.
_REQUESTS, _REQUEST_BYTES = 8, 1 << 20


class NbdReader(io.RawIOBase):
    """All bytes of an export; for one thread. Takes the connected socket over.

    Raises DriverError if the server fails or leaves.
    """

    def __init__(self, connection: socket.socket) -> None:
        super().__init__()
        self._socket = connection
        self._wanted: collections.deque[tuple[int, int]] = collections.deque()
        self._came: dict[int, bytearray] = {}
        self._asked = 0
        self._part = memoryview(b"")
        self.size_bytes = self._negotiate()

    @classmethod
    def at(cls, path: Path) -> "NbdReader":
        """Connect to a unix socket. Raises OSError if nobody listens there."""
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.connect(str(path))
            return cls(connection)
        except BaseException:
            connection.close()
            raise

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1) -> bytes | bytearray:
        """At most `size` bytes, and no more than one request brought; all if it is negative."""
        if size is None or size < 0:
            return self.readall()
        if not self._part:
            part = self._next()
            if len(part) <= size:
                return part  # as it came, without a copy
            self._part = memoryview(part)
        data, self._part = bytes(self._part[:size]), self._part[size:]
        return data

    def readall(self) -> bytes:
        return b"".join(iter(lambda: self.read(_REQUEST_BYTES), b""))

    def readinto(self, buffer: Any) -> int:
        if not self._part:
            self._part = memoryview(self._next())
        count = min(len(buffer), len(self._part))
        memoryview(buffer).cast("B")[:count] = self._part[:count]
        self._part = self._part[count:]
        return count

    def close(self) -> None:
        if not self.closed:
            self._socket.close()
        super().close()

    def _negotiate(self) -> int:
        """Ask for the export without a name; its size in bytes."""
        first, second, flags = struct.unpack(">QQH", self._receive(18))
        if (first, second) != (_NBD_MAGIC, _OPTION_MAGIC) or not flags & _FIXED_NEWSTYLE:
            raise _broken("it is no NBD server")
        self._send(struct.pack(">I", _FIXED_NEWSTYLE | (flags & _NO_ZEROES)))
        self._send(struct.pack(">QII", _OPTION_MAGIC, _OPT_EXPORT_NAME, 0))
        size, _transmission = struct.unpack(">QH", self._receive(10))
        if not flags & _NO_ZEROES:
            self._receive(124)
        return int(size)

    def _next(self) -> bytearray:
        """The bytes that follow; none at the end."""
        while len(self._wanted) < _REQUESTS and self._asked < self.size_bytes:
            length = min(_REQUEST_BYTES, self.size_bytes - self._asked)
            self._request(_CMD_READ, self._asked, length)
            self._wanted.append((self._asked, length))
            self._asked += length
        if not self._wanted:
            return bytearray()
        offset, _ = self._wanted.popleft()
        while offset not in self._came:
            self._take(offset)
        return self._came.pop(offset)

    def _take(self, first: int) -> None:
        """One reply; they come in any order. The offset of a request is its cookie."""
        magic, error, cookie = struct.unpack(">IIQ", self._receive(16))
        lengths = dict(self._wanted)
        lengths.setdefault(first, min(_REQUEST_BYTES, self.size_bytes - first))
        if magic != _REPLY_MAGIC or error or cookie not in lengths:
            raise _broken(f"it answered a read with error {error}")
        self._came[cookie] = self._receive(lengths[cookie])

    def _request(self, command: int, offset: int, length: int) -> None:
        self._send(struct.pack(">IHHQQI", _REQUEST_MAGIC, 0, command, offset, offset, length))

    def _send(self, data: bytes) -> None:
        try:
            self._socket.sendall(data)
        except OSError as exc:
            raise _broken(str(exc)) from exc

    def _receive(self, length: int) -> bytearray:
        data = bytearray(length)
        view, begin = memoryview(data), 0
        while begin < length:
            try:
                count = self._socket.recv_into(view[begin:])
            except OSError as exc:
                raise _broken(str(exc)) from exc
            if not count:
                raise _broken("it left")
            begin += count
        return data


def _broken(cause: str) -> errors.DriverError:
    return errors.DriverError("The image cannot be read to its end.", f"NBD server: {cause}")
