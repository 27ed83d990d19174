"""The read-only NBD server, spoken to by hand."""

import io
import socket
import struct
from pathlib import Path

from imagesvc.stream.nbd import NbdServer

DATA = bytes(range(256)) * 16


def open_read(offset: int, length: int) -> io.BytesIO:
    return io.BytesIO(DATA[offset : offset + length])


def connect(path: Path) -> socket.socket:
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(10)
    client.connect(str(path))
    assert client.recv(18, socket.MSG_WAITALL)[:16] == b"NBDMAGICIHAVEOPT"
    client.sendall(struct.pack(">I", 3) + b"IHAVEOPT" + struct.pack(">II", 1, 0))
    size, flags = struct.unpack(">QH", client.recv(10, socket.MSG_WAITALL))
    assert size == len(DATA)
    assert flags & 2, "the export is not marked read-only"
    return client


def ask(client: socket.socket, command: int, offset: int, length: int) -> int:
    client.sendall(struct.pack(">IHHQQI", 0x25609513, 0, command, 7, offset, length))
    magic, error, cookie = struct.unpack(">IIQ", client.recv(16, socket.MSG_WAITALL))
    assert (magic, cookie) == (0x67446698, 7)
    return int(error)


def test_reads_give_the_bytes_asked_for() -> None:
    with NbdServer(open_read, len(DATA)) as server, connect(server.path) as client:
        assert ask(client, 0, 100, 50) == 0
        assert client.recv(50, socket.MSG_WAITALL) == DATA[100:150]


def test_writes_and_reads_past_the_end_are_refused() -> None:
    with NbdServer(open_read, len(DATA)) as server, connect(server.path) as client:
        assert ask(client, 0, len(DATA) - 1, 2) == 22
        assert ask(client, 4, 0, 512) == 1
        assert ask(client, 1, 0, 512) == 1


def test_a_failing_store_hangs_up_and_is_remembered() -> None:
    def broken(offset: int, length: int) -> io.BytesIO:
        raise OSError("store")

    with NbdServer(broken, len(DATA)) as server, connect(server.path) as client:
        client.sendall(struct.pack(">IHHQQI", 0x25609513, 0, 0, 7, 0, 512))
        assert client.recv(16) == b""
    assert isinstance(server.failure, OSError)


def test_nothing_stays_behind() -> None:
    with NbdServer(open_read, len(DATA)) as server:
        path = server.path
        client = connect(path)
        assert path.parent.stat().st_mode & 0o777 == 0o700
    client.close()
    assert not path.parent.exists()


def test_noise_ends_the_connection_only() -> None:
    with NbdServer(open_read, len(DATA)) as server:
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(server.path))
            client.sendall(b"\xff" * 64)
        connect(server.path).close()
