"""One connection to another region: requests one after the other, bodies of any length."""

import contextlib
import http.client
import json
import ssl
import urllib.parse
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Protocol, Self

from imagesvc import errors
from imagesvc.stream.peer_option import PeerOptions

BLOCK_BYTES = 1 << 20
_ANSWER_BYTES_MAX = 1 << 20
_TEXT_LENGTH_MAX = 500


class Reader(Protocol):
    """Gives bytes; none at the end."""

    def read(self, size: int, /) -> bytes: ...


class Answer:
    """Status, headers with small letters, and the body, decoded if it is a JSON object."""

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.document: dict[str, Any] = {}
        with contextlib.suppress(ValueError, RecursionError):
            found = json.loads(body)
            if isinstance(found, dict):
                self.document = found

    @property
    def reason(self) -> str:
        """The neutral word for what went wrong, as our own API says it; empty if it does not."""
        return str(self._error.get("reason") or "")

    @property
    def text(self) -> str:
        """What the other side says went wrong, in a line."""
        return clean(str(self._error.get("message") or f"it answers {self.status}."))

    @property
    def _error(self) -> Mapping[str, Any]:
        found = self.document.get("error")
        return found if isinstance(found, dict) else {}


def clean(said: str) -> str:
    """A text of the other side as one line of bounded length, without what could steer a terminal."""
    line = said[:_TEXT_LENGTH_MAX]
    return "".join(one if one.isprintable() else " " for one in line)


class PeerLink:
    """Connects when it is needed, and again after a failure; for one thread.

    No proxy, no redirect: what is not an answer of the URL itself is its caller's to judge. Every
    failure on the way is RegionAway.
    """

    def __init__(self, options: PeerOptions, url: str) -> None:
        self._options = options
        self._parts = urllib.parse.urlsplit(url)
        self._connection: http.client.HTTPConnection | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the connection; safe to repeat."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def ask(
        self, method: str, path: str, headers: Mapping[str, str], document: Any = None
    ) -> Answer:
        """One request that may be repeated without harm, with a JSON body or none."""
        body = b"" if document is None else json.dumps(document).encode()
        sent = dict(headers)
        if document is not None:
            sent["Content-Type"] = "application/json"
        if body or method in ("PUT", "POST"):
            sent["Content-Length"] = str(len(body))
        kept = self._connection is not None
        with self._told():
            try:
                return self._exchange(method, path, sent, lambda send: send(body))
            except (ConnectionError, http.client.RemoteDisconnected):
                if not kept:
                    raise
            # The other side had closed the connection while it lay idle; this one is new.
            return self._exchange(method, path, sent, lambda send: send(body))

    def send(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        source: Reader,
        length: int,
        tell: Callable[[int], None],
    ) -> Answer:
        """A request with `length` bytes of `source`; `tell` hears how many are out, and may raise.

        What `source` raises goes on as it is. A source that ends early is IOError of its own kind
        there: the request is broken off.
        """
        sent = {**headers, "Content-Length": str(length)}

        def body(out: Callable[[bytes], None]) -> None:
            done = 0
            while done < length:
                with _Aside():
                    data = source.read(min(BLOCK_BYTES, length - done))
                    if not data:
                        raise errors.ImagesvcError("The source ends early.")
                out(data)
                done += len(data)
                with _Aside():
                    tell(done)

        try:
            with self._told():
                return self._exchange(method, path, sent, body)
        except _Ours as exc:
            self.close()
            raise exc.cause from None

    def _exchange(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: Callable[[Callable[[bytes], None]], None],
    ) -> Answer:
        connection = self._open()
        try:
            connection.putrequest(method, self._parts.path + path, skip_accept_encoding=True)
            for name, value in {"User-Agent": "imagesvc", **headers}.items():
                connection.putheader(name, value)
            connection.endheaders()
            early = None
            try:
                body(connection.send)
            except ConnectionError as exc:  # an answer before the end of the body, perhaps
                early = exc
            try:
                answer = connection.getresponse()
            except (OSError, http.client.HTTPException) as exc:
                raise (early or exc) from exc
            with answer:
                data = answer.read(_ANSWER_BYTES_MAX)
                whole = answer.isclosed()
                found = {name.lower(): value.strip() for name, value in answer.getheaders()}
            if early or answer.will_close or not whole:
                self.close()
            return Answer(answer.status, found, data)
        except BaseException:
            self.close()
            raise

    def _open(self) -> http.client.HTTPConnection:
        if self._connection is not None:
            return self._connection
        host, port = self._parts.hostname or "", self._parts.port
        timeout_s = self._options.connect_timeout_s
        made: http.client.HTTPConnection
        if self._parts.scheme == "https":
            context = ssl.create_default_context(cafile=self._options.ca_file)
            made = http.client.HTTPSConnection(host, port, timeout=timeout_s, context=context)
        else:
            made = http.client.HTTPConnection(host, port, timeout=timeout_s)
        made.connect()
        made.auto_open = 0  # a lost connection is noticed, and never replaced in silence
        made.sock.settimeout(self._options.timeout_s)
        self._connection = made
        return made

    @contextlib.contextmanager
    def _told(self) -> Any:
        try:
            yield
        except ssl.SSLCertVerificationError as exc:
            raise self._away("shows a certificate that is not trusted here", exc) from exc
        except TimeoutError as exc:
            raise self._away("does not answer in time", exc) from exc
        except (OSError, http.client.HTTPException, ValueError) as exc:
            raise self._away("cannot be reached, or broke the connection off", exc) from exc

    def _away(self, cause: str, exc: Exception) -> errors.RegionAway:
        url = f"{self._parts.scheme}://{self._parts.netloc}"
        return errors.RegionAway(
            region=self._options.name,
            cause=f"{cause}.",
            operator_message=f"{url}: {type(exc).__name__}: {exc}",
        )


class _Ours(BaseException):
    """What our own side raised in the middle of a request: nothing that the peer did."""

    def __init__(self, cause: BaseException) -> None:
        self.cause = cause


class _Aside:
    """Keeps what is raised within apart from the failures of the connection."""

    def __enter__(self) -> None:
        return None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if value is not None:
            raise _Ours(value)
