"""One request of a fetch: one name, one pinned address, one connection, one answer."""

import contextlib
import http.client
import ipaddress
import socket
import ssl
from collections.abc import Iterator, Mapping
from types import TracebackType

from imagesvc.stream import fetch_address, fetch_pace, fetch_rule, fetch_url

# What may go wrong on the way: sockets, TLS and time (OSError), HTTP, and texts that are not
# what they should be (ValueError, with UnicodeError).
BROKEN = (OSError, http.client.HTTPException, ValueError)

_ADDRESSES_MAX = 4
# So much of a body is sent within one bound of idleness.
_SENT_BYTES = 256 << 10


class Hop:
    """An open answer; a context manager that closes its connection."""

    def __init__(
        self,
        url: fetch_url.Url,
        rules: fetch_rule.FetchRules,
        pace: fetch_pace.Pace,
        headers: Mapping[str, str],
        method: str = "GET",
        body: bytes | memoryview = b"",
    ) -> None:
        """Send a request and read the head of the answer. Raises what BROKEN names."""
        self.url = url
        with contextlib.ExitStack() as stack:
            sock = stack.enter_context(_connect(url, rules, pace))
            if url.scheme == "https":
                context = ssl.create_default_context(cafile=rules.ca_file)
                sock.settimeout(pace.left_s())
                # The name is the URL's, though the connection went to an address.
                sock = stack.enter_context(context.wrap_socket(sock, server_hostname=url.host))
            connection = http.client.HTTPConnection(url.host, url.port)
            connection.auto_open = 0  # nothing else may ever open another connection
            connection.sock = fetch_pace.PacedSocket(sock, pace)
            sent = _sent(url, headers)
            if body or method in ("PUT", "POST"):
                sent["Content-Length"] = str(len(body))
            parts = _parts(body, rules, pace) if body else None
            connection.request(method, url.target, body=parts, headers=sent)
            self._response = stack.enter_context(connection.getresponse())
            self.status = self._response.status
            self._check_framing()
            self._stack = stack.pop_all()

    def __enter__(self) -> "Hop":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; safe to repeat."""
        self._stack.close()

    def header(self, name: str) -> str:
        """One header of the answer; empty if it is not there."""
        return self._response.headers.get(name, "").strip()

    def headers(self) -> dict[str, str]:
        """All headers of the answer, with small letters; of several alike the last."""
        return {name.lower(): value.strip() for name, value in self._response.headers.items()}

    @property
    def length(self) -> int | None:
        """Bytes of this answer's body, None if it does not say."""
        text = self.header("Content-Length")
        return int(text) if text else None

    def read(self, size: int) -> bytes:
        """What is there of the body, at most `size` bytes. Raises what BROKEN names."""
        return self._response.read1(size)

    def _check_framing(self) -> None:
        lengths = set(self._response.headers.get_all("Content-Length", []))
        codings = self._response.headers.get_all("Transfer-Encoding", [])
        if len(lengths) > 1 or not all(text.isascii() and text.isdigit() for text in lengths):
            raise ValueError("the answer's length is no number")
        if codings and ([coding.lower() for coding in codings] != ["chunked"] or lengths):
            raise ValueError("the answer's transfer coding is not chunked alone")
        if self.header("Content-Encoding").lower() not in ("", "identity"):
            raise ValueError("the answer is compressed though that was not asked for")


def _connect(
    url: fetch_url.Url, rules: fetch_rule.FetchRules, pace: fetch_pace.Pace
) -> socket.socket:
    """Connect to an address that was judged, and to no other."""
    if url.address is not None:
        addresses = [url.address]
    else:
        found = fetch_address.look_up(rules.resolve, url.host, url.port, pace.left_s())
        addresses = [ipaddress.ip_address(text) for text in found]
    if not addresses:
        raise OSError(f"{url.host} has no address")
    for address in addresses:
        if not rules.allows_address(url, address):
            raise OSError(f"{url.host} is at {address}, which may not be fetched from")
    failures = []
    chosen = addresses[:_ADDRESSES_MAX]
    for number, address in enumerate(chosen):
        try:
            return _connect_to(str(address), url.port, pace.left_s() / (len(chosen) - number))
        except OSError as exc:  # another of the name's addresses may answer
            failures.append(f"{address}: {exc}")
    raise OSError(f"no connection to {url.host}: {'; '.join(failures)}")


def _connect_to(address: str, port: int, timeout_s: float) -> socket.socket:
    sock = socket.create_connection((address, port), timeout=timeout_s)
    peer = sock.getpeername()
    if ipaddress.ip_address(peer[0]) != ipaddress.ip_address(address) or peer[1] != port:
        sock.close()
        raise OSError(f"the connection to {address} led to {peer[0]}")
    return sock


def _parts(
    body: bytes | memoryview, rules: fetch_rule.FetchRules, pace: fetch_pace.Pace
) -> Iterator[memoryview]:
    """The body in pieces; the time for the answer's head begins after the last."""
    pace.begin_body()
    view = memoryview(body)
    for begin in range(0, len(view), _SENT_BYTES):
        yield view[begin : begin + _SENT_BYTES]
    pace.begin_head(max(rules.answer_timeout_s, rules.idle_timeout_s))


def _sent(url: fetch_url.Url, headers: Mapping[str, str]) -> dict[str, str]:
    """The whole head: nothing of the service's credentials, cookies or environment is in it."""
    return {
        "User-Agent": "imagesvc",
        "Accept": "*/*",
        **headers,
        "Host": url.host_header,
        "Accept-Encoding": "identity",
        "Connection": "close",
    }
