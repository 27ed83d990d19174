"""Another region: sign-in with the service's own user there, and its doors for images."""

import threading
import urllib.parse
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

from imagesvc import errors
from imagesvc.domain import agency
from imagesvc.stream import peer_image
from imagesvc.stream.peer_link import Answer, PeerLink, Reader, clean
from imagesvc.stream.peer_option import PeerOptions

ROOT = "/imagesvc/v1"
OCTETS = "application/offset+octet-stream"
_PASSING = frozenset({408, 423, 425, 429, 500, 502, 503, 504})
_FULL = 507
_DIGITS_MAX = 19
_DELETED = 204
_GONE = frozenset({404, 410})


class Peer:
    """One other region; safe for many threads. Its token is kept until it is refused."""

    def __init__(self, options: PeerOptions) -> None:
        self.options = options
        self._lock = threading.Lock()  # guards _token
        self._token = ""

    def session(self) -> "PeerSession":
        """A connection of one thread; a context manager."""
        return PeerSession(self)

    def token(self, refused: str = "") -> str:
        """A token, another one than `refused`. Raises RegionAway."""
        with self._lock:
            if not self._token or self._token == refused:
                self._token = self.sign_in().headers["x-subject-token"]
            return self._token

    def sign_in(self) -> Answer:
        """The identity service's answer with a new token. Raises RegionAway."""
        options = self.options
        user = {
            "name": options.username, "password": options.password,
            "domain": {"name": options.user_domain_name},
        }  # fmt: skip
        project = {
            "name": options.project_name, "domain": {"name": options.project_domain_name}
        }  # fmt: skip
        auth = {
            "identity": {"methods": ["password"], "password": {"user": user}},
            "scope": {"project": project},
        }
        with PeerLink(options, options.auth_url) as link:
            answer = link.ask("POST", "/auth/tokens", {}, {"auth": auth})
        if answer.status == 401:
            raise self.away("does not know this service's user, or its password", answer)
        if answer.status != 201 or not answer.headers.get("x-subject-token"):
            raise self.away("gives this service no token", answer)
        return answer

    def away(self, cause: str, answer: Answer) -> errors.RegionAway:
        """The error for an answer that another time may be another one."""
        return errors.RegionAway(
            region=self.options.name,
            cause=f"{cause}.",
            operator_message=f"status {answer.status}, {answer.reason}: {answer.text}",
        )


class PeerSession:
    """Requests of one thread, on behalf of whom `claim` names. Every call raises RegionAway for what
    may pass, RegionGone for what is not there, RegionRefused for what the peer does not do."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self._link = PeerLink(peer.options, peer.options.endpoint)
        self.claim: Mapping[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._link.close()

    @property
    def name(self) -> str:
        """The name of the region."""
        return self._peer.options.name

    @property
    def patch_bytes(self) -> int:
        """Bytes that one request sends at most."""
        return self._peer.options.patch_bytes

    def for_project(self, region: str, source_project_id: str, project: str) -> Self:
        """Work for a project of this region in one of the peer's."""
        values = (urllib.parse.quote(one, safe="") for one in (region, source_project_id, project))
        self.claim = dict(zip(agency.HEADERS, values, strict=True))
        return self

    def regions(self) -> Mapping[str, Any]:
        """What the peer says of itself and of the regions that it knows."""
        return self._ask("GET", "/regions").document

    def put_image(self, request_token: str, document: Mapping[str, Any]) -> Mapping[str, Any]:
        """Begin an image there, or find the one that was begun under this token."""
        return self._image_of(self._ask("PUT", _image(request_token), document))

    def get_image(self, request_token: str) -> Mapping[str, Any]:
        """How far the image is there."""
        answer = self._exchange("GET", _image(request_token), {})
        if answer.status in _GONE:
            raise errors.RegionGone(
                region=self._peer.options.name, cause="the image was deleted there."
            )
        self._judge(answer)
        return self._image_of(answer)

    def delete_image(self, request_token: str) -> None:
        """Take the image back, finished or not."""
        answer = self._ask("DELETE", _image(request_token))
        if answer.status != _DELETED:
            raise self._strange(answer)

    def offset(self, upload_id: str) -> int:
        """How many bytes of an upload are safe there."""
        path = f"/uploads/{upload_id}"
        answer = self._exchange("HEAD", path, {"Tus-Resumable": "1.0.0"})
        if answer.status >= 400:
            self._ask("GET", path)  # raises what a HEAD has no words for
        self._judge(answer)
        return self._offset(answer)

    def send(
        self,
        upload_id: str,
        offset: int,
        source: Reader,
        length: int,
        tell: Callable[[int], None],
    ) -> int:
        """Send `length` bytes to an upload, one at least; where it stands then, further than before.

        `tell` may raise to break off.
        """
        token = self._peer.token()
        headers = {
            **self._headers(token), "Tus-Resumable": "1.0.0", "Upload-Offset": str(offset),
            "Content-Type": OCTETS,
        }  # fmt: skip
        path = f"{ROOT}/uploads/{upload_id}"
        answer = self._link.send("PATCH", path, headers, source, length, tell)
        if answer.status == 401:  # it ended; the next request gets another
            self._peer.token(token)
        if answer.status in (401, 409):  # another request went on with it: HEAD says where it is
            raise self._peer.away("is at another byte of the upload", answer)
        self._judge(answer)
        stands = self._offset(answer)
        if not offset < stands <= offset + length:
            raise self._peer.away("does not get on with the upload", answer)
        return stands

    def _ask(self, method: str, path: str, document: Any = None) -> Answer:
        answer = self._exchange(method, path, {}, document)
        self._judge(answer)
        return answer

    def _exchange(
        self, method: str, path: str, headers: Mapping[str, str], document: Any = None
    ) -> Answer:
        """The answer; of a token that is refused, that to another one."""
        token = self._peer.token()
        sent = {**self._headers(token), **headers}
        answer = self._link.ask(method, ROOT + path, sent, document)
        if answer.status != 401:
            return answer
        sent = {**self._headers(self._peer.token(token)), **headers}
        return self._link.ask(method, ROOT + path, sent, document)

    def _headers(self, token: str) -> dict[str, str]:
        return {"X-Auth-Token": token, "Accept": "application/json", **self.claim}

    def _judge(self, answer: Answer) -> None:
        status, name = answer.status, self._peer.options.name
        if 200 <= status < 300:
            return
        if status == 401:
            raise self._peer.away("does not take this service's token", answer)
        if status == _FULL:
            raise self._peer.away("has no room for the image", answer)
        if status in _PASSING:
            raise self._peer.away("is busy, or something it needs is away", answer)
        kind = errors.RegionGone if status in _GONE else errors.RegionRefused
        raise kind(region=name, cause=answer.text)

    def _image_of(self, answer: Answer) -> Mapping[str, Any]:
        found = answer.document.get("region_image")
        if not peer_image.is_sound(found):
            raise self._strange(answer)
        return {**found, "cause": clean(found["cause"])} if found["cause"] else found

    def _strange(self, answer: Answer) -> errors.RegionAway:
        """What answers is perhaps something before the region, and only for now."""
        return self._peer.away("does not answer as this service does", answer)

    def _offset(self, answer: Answer) -> int:
        text = answer.headers.get("upload-offset", "")
        if not (text.isascii() and text.isdigit() and len(text) <= _DIGITS_MAX):
            raise self._peer.away("does not say where the upload stands", answer)
        return int(text)


def _image(request_token: str) -> str:
    return f"/region-images/{urllib.parse.quote(request_token, safe='')}"
