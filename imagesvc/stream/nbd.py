"""A read-only NBD server on a unix socket, so that a tool can read a stored object.

Protocol: NetworkBlockDevice/nbd, doc/proto.md; fixed newstyle with simple replies. It serves
one export, whatever name the client asks for, to the sandboxed tool and nobody else.
"""

import contextlib
import shutil
import socket
import struct
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

OpenRead = Callable[[int, int], BinaryIO]

_NBD_MAGIC, _OPTION_MAGIC, _OPTION_REPLY_MAGIC = (
    0x4E42444D41474943,
    0x49484156454F5054,
    0x3E889045565A9,
)
_REQUEST_MAGIC, _REPLY_MAGIC = 0x25609513, 0x67446698
_FIXED_NEWSTYLE, _NO_ZEROES = 1, 2
_HAS_FLAGS, _READ_ONLY, _SEND_FLUSH, _MULTI_CONN = 1, 2, 4, 256
_TRANSMISSION = _HAS_FLAGS | _READ_ONLY | _SEND_FLUSH | _MULTI_CONN
_OPT_EXPORT_NAME, _OPT_ABORT, _OPT_LIST, _OPT_INFO, _OPT_GO = 1, 2, 3, 6, 7
_REP_ACK, _REP_SERVER, _REP_INFO = 1, 2, 3
_REP_UNSUPPORTED, _REP_INVALID = 0x80000001, 0x80000003
_INFO_EXPORT, _INFO_BLOCK_SIZE = 0, 3
_CMD_READ, _CMD_WRITE, _CMD_DISC, _CMD_FLUSH = 0, 1, 2, 3
_CMD_WRITES = (_CMD_WRITE, 4, 6)  # also trim and write zeroes
_EPERM, _EIO, _EINVAL = 1, 5, 22
_OPTION_BYTES_MAX = 4096
_READ_BYTES_MAX = 4 << 20  # told to the client, which then asks for no more
# A request is answered in parts of this size, so that memory does not grow with it.
_PART_BYTES = 1 << 20
_BLOCK_SIZES = struct.pack(">HIII", _INFO_BLOCK_SIZE, 1, 4096, _READ_BYTES_MAX)


class Gone(Exception):
    """The client closed the connection, or broke the protocol."""


class NbdServer:
    """Serves `size_bytes` bytes from `open_read(offset, length)`; a context manager.

    `open_read` is called from the server's threads, one a connection; the reader that it gives
    is closed. A failing read is an I/O error to the client and is kept as `failure`.
    """

    def __init__(self, open_read: OpenRead, size_bytes: int) -> None:
        self._open_read = open_read
        self._size = size_bytes
        self._folder = Path()
        self._listener = socket.socket()
        self._lock = threading.Lock()  # guards the two lists
        self._connections: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self.failure: Exception | None = None

    @property
    def path(self) -> Path:
        """The socket."""
        return self._folder / "nbd"

    def __enter__(self) -> "NbdServer":
        self._listener.close()
        self._folder = Path(tempfile.mkdtemp(prefix="imagesvc-nbd-"))
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(self.path))
        self._listener.listen(4)
        self._start(self._accept)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._lock:
            _shut(self._listener)
            for connection in self._connections:
                _shut(connection)
        for thread in list(self._threads):
            thread.join()
        self._listener.close()
        shutil.rmtree(self._folder)

    def _start(self, target: Callable[..., None], *args: socket.socket) -> None:
        thread = threading.Thread(target=target, args=args, name="nbd", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return  # shut down by __exit__
            with self._lock:
                self._connections.append(connection)
                self._start(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            try:
                if _negotiate(connection, self._size):
                    while self._answer(connection):
                        pass
            except (Gone, OSError):
                return  # the tool ended, perhaps because it was killed

    def _answer(self, connection: socket.socket) -> bool:
        magic, _flags, command, cookie, offset, length = struct.unpack(
            ">IHHQQI", _receive(connection, 28)
        )
        if magic != _REQUEST_MAGIC or command == _CMD_DISC:
            return False
        if command == _CMD_READ:
            self._send(connection, cookie, offset, length)
        elif command == _CMD_FLUSH:
            _reply(connection, 0, cookie)
        elif command in _CMD_WRITES:
            _reply(connection, _EPERM, cookie)
            return bool(
                command != _CMD_WRITE
            )  # the data of a write follows: hang up rather than read it
        else:
            _reply(connection, _EINVAL, cookie)
        return True

    def _send(self, connection: socket.socket, cookie: int, offset: int, length: int) -> None:
        if length > _READ_BYTES_MAX or offset + length > self._size:
            _reply(connection, _EINVAL, cookie)
            return
        try:
            with self._open_read(offset, length) as reader:
                part = _read_part(reader, min(length, _PART_BYTES))
                _reply(connection, 0, cookie)
                while True:
                    connection.sendall(part)
                    length -= len(part)
                    if length == 0:
                        return
                    part = _read_part(reader, min(length, _PART_BYTES))
        except (Gone, ConnectionError):
            raise
        except Exception as exc:
            # Whatever the store raised: the client is hung up on and the caller finds it here.
            self.failure = exc
            raise Gone from exc


def _read_part(reader: BinaryIO, length: int) -> bytes:
    part = bytearray()
    while len(part) < length:
        data = reader.read(length - len(part))
        if not data:
            raise EOFError("The stored object ended early.")
        part += data
    return bytes(part)


def _negotiate(connection: socket.socket, size: int) -> bool:
    """Go through the options until the client starts to read; False if it leaves."""
    connection.sendall(struct.pack(">QQH", _NBD_MAGIC, _OPTION_MAGIC, _FIXED_NEWSTYLE | _NO_ZEROES))
    (client_flags,) = struct.unpack(">I", _receive(connection, 4))
    while True:
        magic, option, length = struct.unpack(">QII", _receive(connection, 16))
        if magic != _OPTION_MAGIC or length > _OPTION_BYTES_MAX:
            return False
        data = _receive(connection, length)
        export = struct.pack(">QH", size, _TRANSMISSION)
        if option == _OPT_EXPORT_NAME:
            connection.sendall(export + (b"" if client_flags & _NO_ZEROES else bytes(124)))
            return True
        if option in (_OPT_INFO, _OPT_GO):
            if len(data) < 6:
                _option_reply(connection, option, _REP_INVALID)
                continue
            _option_reply(connection, option, _REP_INFO, struct.pack(">H", _INFO_EXPORT) + export)
            _option_reply(connection, option, _REP_INFO, _BLOCK_SIZES)
            _option_reply(connection, option, _REP_ACK)
            if option == _OPT_GO:
                return True
        elif option == _OPT_LIST:
            _option_reply(connection, option, _REP_SERVER, struct.pack(">I", 0))
            _option_reply(connection, option, _REP_ACK)
        elif option == _OPT_ABORT:
            _option_reply(connection, option, _REP_ACK)
            return False
        else:
            _option_reply(connection, option, _REP_UNSUPPORTED)


def _option_reply(connection: socket.socket, option: int, kind: int, data: bytes = b"") -> None:
    head = struct.pack(">QIII", _OPTION_REPLY_MAGIC, option, kind, len(data))
    connection.sendall(head + data)


def _reply(connection: socket.socket, error: int, cookie: int) -> None:
    connection.sendall(struct.pack(">IIQ", _REPLY_MAGIC, error, cookie))


def _receive(connection: socket.socket, length: int) -> bytes:
    data = bytearray()
    while len(data) < length:
        part = connection.recv(length - len(data))
        if not part:
            raise Gone
        data += part
    return bytes(data)


def _shut(one: socket.socket) -> None:
    with contextlib.suppress(OSError):  # closed already
        one.shutdown(socket.SHUT_RDWR)
