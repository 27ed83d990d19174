"""A cheap HTTP client: one connection that is kept, bytes read into one reused buffer."""

import socket
from pathlib import Path
from types import TracebackType

import running

BLOCK = 1 << 20


class Refused(Exception):
    """The answer was not 2xx; `status` says which."""

    def __init__(self, status: int, body: bytes) -> None:
        super().__init__(f"{status}: {body[:300]!r}")
        self.status = status


class Client:
    """Requests to one party, one after the other."""

    def __init__(self, party: running.Party, timeout_s: float = 600.0) -> None:
        self._address = ("127.0.0.1", party.port)
        self._headers = "".join(f"{name}: {value}\r\n" for name, value in party.headers.items())
        self._timeout_s = timeout_s
        self._buffer = memoryview(bytearray(BLOCK))
        self._sock: socket.socket | None = None

    def __enter__(self) -> "Client":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Hang up."""
        if self._sock is not None:
            self._sock.close()
            self._sock = None

    def send(self, method: str, path: str, body: bytes = b"", headers: str = "") -> socket.socket:
        """Send a request, body and all; the connection it went over."""
        if self._sock is None:
            self._sock = socket.create_connection(self._address, timeout=self._timeout_s)
            self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        length = f"Content-Length: {len(body)}\r\n" if body else ""
        head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{self._headers}{headers}{length}"
        self._sock.sendall(head.encode() + b"\r\n" + body)
        return self._sock

    def request(self, method: str, path: str, body: bytes = b"", headers: str = "") -> bytes:
        """One request; the body of the answer. Raises Refused."""
        self.send(method, path, body, headers)
        status, length, rest, last = self._head()
        parts, have = [rest], len(rest)
        while length is None or have < length:
            part = self._receive()
            if not part and length is None:
                break
            parts.append(bytes(part))
            have += len(part)
        return self._end(status, last, b"".join(parts))

    def drain(self, path: str, headers: str = "") -> int:
        """GET a resource and drop its bytes; how many there were. Raises Refused."""
        self.send("GET", path, headers=headers)
        status, length, rest, last = self._head()
        have = len(rest)
        while length is None or have < length:
            got = len(self._receive())
            if not got and length is None:
                break
            have += got
        self._end(status, last, rest)
        return have

    def upload(self, path: str, file: Path) -> None:
        """PUT a file. Raises Refused."""
        size = file.stat().st_size
        kind = "Content-Type: application/octet-stream\r\n"
        sock = self.send("PUT", path, headers=f"{kind}Content-Length: {size}\r\n")
        with file.open("rb") as source:
            sock.sendfile(source)
        status, _, rest, _ = self._head()
        self.close()
        if status >= 300:
            raise Refused(status, rest)

    def _receive(self) -> memoryview:
        if self._sock is None:
            raise ConnectionError("no request was sent")
        got = self._sock.recv_into(self._buffer)
        return self._buffer[:got]

    def _head(self) -> tuple[int, int | None, bytes, bool]:
        """Status, length of the body, the part of it that came too, and if it is the last."""
        data = b""
        while (end := data.find(b"\r\n\r\n")) < 0:
            part = self._receive()
            if not part:
                self.close()
                raise ConnectionError(f"the answer broke off after {data[:200]!r}")
            data += part
        status, head = int(data[9:12]), data[:end].lower()
        at = head.find(b"\r\ncontent-length:")
        length = int(head[at + 17 :].split(b"\r\n", 1)[0]) if at >= 0 else None
        if status in (204, 304):
            length = 0
        last = b"\r\nconnection: close" in head or head.startswith(b"http/1.0") or length is None
        return status, length, data[end + 4 :], last

    def _end(self, status: int, last: bool, body: bytes) -> bytes:
        if last:
            self.close()
        if status >= 300:
            raise Refused(status, body)
        return body
