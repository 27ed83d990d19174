"""HTTP to a Vault or OpenBao server (API version 1), and what its answers mean."""

import time
import urllib.parse
from typing import Any

import requests
from oslo_config import cfg

from imagesvc.interface import errors
from imagesvc_drivers.client.paced_session import PacedSession

_WORDS_MAX = 300
_AWAY = "The key service does not answer just now."

OPTS = (
    cfg.StrOpt(
        "url",
        required=True,
        help="URL of the Vault or OpenBao server, for example https://vault:8200. Behind several "
        "servers: that of the balancer in front of them, which finds the active one.",
    ),
    cfg.StrOpt(
        "token",
        secret=True,
        help="Token of the service. While the service runs it is renewed before it ends, if the "
        "server lets it.",
    ),
    cfg.StrOpt("namespace", help="Namespace of the mount; empty: the root namespace."),
    cfg.StrOpt("mount", default="transit", help="Path at which the transit engine is mounted."),
    cfg.StrOpt(
        "ca_file",
        help="File with the certificates that may sign the server's; empty: those that are "
        "built in.",
    ),
    cfg.FloatOpt(
        "connect_timeout_s",
        default=3.0,
        min=0.1,
        max=60.0,
        help="Seconds that the server may take to accept a connection.",
    ),
    cfg.FloatOpt(
        "timeout_s",
        default=10.0,
        min=0.1,
        max=600.0,
        help="Seconds that the server may take to answer; requests for encrypted images wait for "
        "it that long.",
    ),
)


class Refused(Exception):
    """The server refused what was asked: what it means, the caller of the client knows."""

    def __init__(self, status: int, words: str, told: str) -> None:
        super().__init__(told)
        self.status = status
        self.words = words


class VaultClient:
    """Safe for many threads. Every call raises Unavailable, Timeout, AccessDenied, Refused."""

    def __init__(self, options: Any) -> None:
        parts = urllib.parse.urlsplit(options.url or "")
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
            raise errors.InvalidConfiguration("option url is not set, or no http or https URL")
        for name in ("token", "mount"):
            if not getattr(options, name):
                raise errors.InvalidConfiguration(f"option {name} is not set")
        self._url = options.url.rstrip("/")
        self._mount = options.mount.strip("/")
        self._options = options
        self._session = self._new_session()
        self._renew_at = 0.0

    def transit(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """One call of the transit engine; the `data` of its answer, {} where there is none."""
        return self._call(method, f"{self._mount}/{path}", body)

    def knows(self, path: str) -> bool:
        """Whether the server's transit has this path; Vault and OpenBao differ."""
        try:
            self._call("GET", f"{self._mount}/{path}?help=1", None)
        except Refused:
            return False
        return True

    def check_token(self) -> None:
        """Ask for the own token, and renew it when half of its time is over."""
        found = self._call("GET", "auth/token/lookup-self", None)
        left_s, whole_s = int(found.get("ttl") or 0), int(found.get("creation_ttl") or 0)
        if found.get("renewable") and left_s < whole_s / 2 and time.monotonic() >= self._renew_at:
            # A token at the end of its longest life gains nothing: do not ask at each check.
            self._renew_at = time.monotonic() + min(60.0, whole_s / 10)
            self._call("POST", "auth/token/renew-self", {})

    def close(self) -> None:
        """Let go of connections; the next call makes new ones."""
        self._session.close()
        self._session = self._new_session()

    def _new_session(self) -> requests.Session:
        session = PacedSession(self._options.connect_timeout_s, self._options.timeout_s)
        session.trust_env = False  # no proxy or password that the operator did not name
        session.verify = self._options.ca_file or True
        session.headers["X-Vault-Token"] = self._options.token
        session.headers["X-Vault-Request"] = "true"
        if self._options.namespace:
            session.headers["X-Vault-Namespace"] = self._options.namespace
        return session

    def _call(self, method: str, path: str, body: dict[str, Any] | None) -> dict[str, Any]:
        what = f"{method} {path}"
        try:
            # A redirect would carry the token to another server.
            answer = self._session.request(
                method, f"{self._url}/v1/{path}", json=body, allow_redirects=False
            )
            if answer.status_code == 204 or not answer.content:
                facts: Any = {}
            else:
                facts = answer.json()
        except requests.Timeout as exc:
            raise errors.Timeout(_AWAY, self._told(what, type(exc).__name__)) from None
        except (requests.RequestException, ValueError) as exc:
            raise errors.Unavailable(_AWAY, self._told(what, type(exc).__name__)) from None
        facts = facts if isinstance(facts, dict) else {}
        if not 200 <= answer.status_code < 300:
            raise self._refusal(answer.status_code, what, _words(facts))
        return facts.get("data") or {}

    def _refusal(self, status: int, what: str, words: str) -> Exception:
        told = self._told(what, f"{status} {words}")
        if status in (400, 404) or "soft-deleted" in words:  # a rotation says so with 500
            return Refused(status, words, told)
        if status in (401, 403):
            return errors.AccessDenied(
                "The key service refuses this service; its operator has to look.",
                f"{told}: look at token and at its policy",
            )
        hint = "unseal it" if status == 503 else "look at url and at its log"
        return errors.Unavailable(_AWAY, f"{told}: {hint}")

    def _told(self, what: str, outcome: str) -> str:
        return f"{self._url}: {what}: {outcome}"


def _words(facts: dict[str, Any]) -> str:
    found = facts.get("errors")
    return "; ".join(map(str, found))[:_WORDS_MAX] if isinstance(found, list) else ""
