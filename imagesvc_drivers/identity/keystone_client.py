"""Questions to Keystone (Identity API v3) as the service's own user, through keystoneauth1.

Every call goes to `auth_url`, never to an address from the catalog. A Keystone that failed is not
asked again for a moment, so that requests fail at once instead of waiting one after another, and
a wrong password does not lock the service's user out.
"""

import contextlib
import json
import threading
import time
import urllib.parse
from collections.abc import Iterator
from typing import Any

import requests
from keystoneauth1 import exceptions, session
from keystoneauth1.identity import v3

from imagesvc.interface import errors
from imagesvc_drivers.client.paced_session import PacedSession

AWAY_TEXT = "The identity service does not answer; ask again later."
_DENIED_TEXT = "The identity service does not serve this service; its operator has to look."
_AWAY_PAUSE_S = 1.0
_DENIED_PAUSE_S = 5.0


class KeystoneClient:
    """Safe for many threads. Every call raises Unavailable, AccessDenied."""

    def __init__(self, url: str, options: Any) -> None:
        self._url = url
        self._options = options
        self._lock = threading.Lock()  # guards _pause_until and _failure
        self._pause_until = 0.0
        self._failure: errors.DriverError | None = None
        self._auth = _credentials(url, options)
        self._session = self._new_session()

    def _new_session(self) -> session.Session:
        cert = self._options.cert_file
        return session.Session(
            auth=self._auth,
            session=PacedSession(self._options.connect_timeout_s, self._options.timeout_s),
            verify=self._options.ca_file or True,
            cert=(cert, self._options.key_file) if cert and self._options.key_file else cert,
            user_agent="imagesvc",
        )

    def close(self) -> None:
        """Let go of connections and of the own token; the next call makes new ones."""
        self._session.session.close()
        self._session = self._new_session()
        self._auth.invalidate()

    def get(
        self, path: str, *, headers: dict[str, str] | None = None, timeout_s: float | None = None
    ) -> bytes | None:
        """The body of an answer 200; None for 404.

        With a `timeout_s` of its own it says nothing about how long others may wait.
        """
        with self._guarded(impatient=timeout_s is not None):
            answer = self._send(path, headers or {}, timeout_s)
            if answer.status_code == 404:
                return None
            if answer.status_code != 200:
                raise _refusal(answer.status_code, self.who)
            return answer.content

    def get_json(self, path: str) -> dict[str, Any] | None:
        """The body as JSON; None for 404."""
        body = self.get(path)
        return None if body is None else parse(body)

    def list(self, path: str, noun: str) -> list[dict[str, Any]]:
        """All of a collection, page after page; nothing for 404.

        Of the link to the next page only the query counts: no other address is asked.
        """
        found: dict[str, dict[str, Any]] = {}
        base, query = path.partition("?")[0], path.partition("?")[2]
        while True:
            body = self.get_json(f"{base}?{query}" if query else base) or {}
            fresh = {each["id"]: each for each in body.get(noun, ()) if each["id"] not in found}
            following = (body.get("links") or {}).get("next")
            if not fresh or not following:  # a page that tells nothing new leads nowhere
                return [*found.values(), *fresh.values()]
            found |= fresh
            query = urllib.parse.urlsplit(following).query

    def own_token(self) -> str:
        """The service's own token, made if there is none that lives."""
        with self._guarded():
            return str(self._auth.get_token(self._session))

    @property
    def who(self) -> str:
        """The service's own user, as the operator configured it."""
        options = self._options
        return options.username or f"application credential {options.application_credential_id}"

    def _send(
        self, path: str, headers: dict[str, str], timeout_s: float | None
    ) -> requests.Response:
        named = {"timeout": timeout_s} if timeout_s else {}
        ask = {"headers": headers, "raise_exc": False, "log": False, **named}
        try:
            return self._session.get(self._url + path, **ask)
        except exceptions.ConnectTimeout:
            raise
        except exceptions.ConnectFailure:
            # A connection that Keystone closed while it lay idle; a second one is new.
            return self._session.get(self._url + path, **ask)

    @contextlib.contextmanager
    def _guarded(self, *, impatient: bool = False) -> Iterator[None]:
        """Translate errors; repeat the last one at once while its pause lasts.

        When an impatient call runs out of time, Keystone may just be slow: others are not told.
        """
        with self._lock:
            failure = self._failure
            if failure is not None and time.monotonic() < self._pause_until:
                raise type(failure)(failure.user_message, failure.operator_message)
            if failure is not None:  # one thread tries again, the others go on failing at once
                self._pause_until = time.monotonic() + _AWAY_PAUSE_S
        try:
            yield
        except errors.DriverError as exc:
            self._failed(exc)
            raise
        except (exceptions.ClientException, exceptions.RetriableConnectionFailure) as exc:
            failure = self._translate(exc)
            if not (impatient and isinstance(exc, exceptions.ConnectTimeout)):
                self._failed(failure)
            raise failure from exc
        with self._lock:
            self._failure = None

    def _failed(self, failure: errors.DriverError) -> None:
        denied = isinstance(failure, errors.AccessDenied)
        with self._lock:
            self._failure = failure
            self._pause_until = time.monotonic() + (_DENIED_PAUSE_S if denied else _AWAY_PAUSE_S)

    def _translate(self, exc: Exception) -> errors.DriverError:
        """What keystoneauth1 raises: for HTTP only while it gets the service's own token."""
        if isinstance(exc, exceptions.HttpError):
            return _refusal(exc.http_status, self.who)
        if isinstance(exc, exceptions.SSLError):
            return errors.Unavailable(AWAY_TEXT, f"{exc}: look at ca_file and cert_file")
        return errors.Unavailable(AWAY_TEXT, f"Keystone cannot be reached: {exc}")


def parse(body: bytes) -> dict[str, Any]:
    """A JSON object. Raises Unavailable for what is none."""
    try:
        found = json.loads(body)
    except ValueError as exc:
        raise errors.Unavailable(AWAY_TEXT, "Keystone answered with no JSON: is it one?") from exc
    if not isinstance(found, dict):
        raise errors.Unavailable(AWAY_TEXT, "Keystone answered with no JSON object: is it one?")
    return found


def _refusal(status: int, who: str) -> errors.DriverError:
    """What a status of failure means for the service's own user `who`."""
    if status == 401:
        return errors.AccessDenied(
            _DENIED_TEXT,
            f"Keystone refuses the service's own credentials ({who}): correct user, password, "
            "project and their domains, or the application credential",
        )
    if status == 403:
        return errors.AccessDenied(
            _DENIED_TEXT,
            f"Keystone does not let {who} do this: to check tokens it needs the role service, to "
            "look up projects the role reader on the system (system_scope = true) or admin",
        )
    if status in (400, 404):
        return errors.AccessDenied(
            _DENIED_TEXT, f"Keystone answered {status} to {who}: is auth_url right?"
        )
    return errors.Unavailable(AWAY_TEXT, f"Keystone answered {status}")


def _credentials(url: str, options: Any) -> Any:
    if options.application_credential_id:
        return v3.ApplicationCredential(
            url,
            application_credential_id=options.application_credential_id,
            application_credential_secret=options.application_credential_secret,
        )
    named = {"user_domain_name": options.user_domain_name}
    if options.system_scope:
        named["system_scope"] = "all"
    else:
        named["project_name"] = options.project_name
        named["project_domain_name"] = options.project_domain_name
    return v3.Password(url, username=options.username, password=options.password, **named)
