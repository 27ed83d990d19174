"""The audit trail to an HTTP receiver: signed POSTs of JSON batches.

The body is `{"events": [...]}` in the order of the trail. Headers:

    X-Imagesvc-Timestamp: seconds since 1970
    X-Imagesvc-Signature: sha256=<hex of HMAC-SHA256(secret, timestamp + "." + body)>

An answer 2xx says that the batch is kept for good. After any other end the same events come
again, also in other batches: the receiver drops an `event_id` that it has.
"""

import contextlib
import hashlib
import hmac
import json
import socket
import time
import urllib.parse
from collections.abc import Iterator, Sequence
from typing import Any

import requests
from oslo_config import cfg

from imagesvc.crashpoint import crashpoint
from imagesvc.interface import audit_sink, base, errors

_HEALTH_TIMEOUT_S = 1.5
_REFUSED = frozenset({401, 403})
_SECRET_LENGTH_MIN = 16

OPTS = (
    cfg.StrOpt("url", help="http or https URL that takes the batches."),
    cfg.StrOpt(
        "secret",
        secret=True,
        help="Key of the signatures, at least 16 characters; the receiver has the same.",
    ),
    cfg.StrOpt(
        "ca_file",
        help="File with the certificates that may sign the receiver's; empty: those that are "
        "built in.",
    ),
    cfg.IntOpt(
        "batch_max",
        default=100,
        min=1,
        max=1000,
        help="Most events of one request. Many make large bodies, few make many requests.",
    ),
    cfg.FloatOpt(
        "timeout_s",
        default=10.0,
        min=0.1,
        max=60.0,
        help="Seconds that the receiver may take to accept a connection, and to answer.",
    ),
)


class WebhookAuditSink(audit_sink.AuditSink):
    """Posts batches, one after another; each emit has a connection of its own."""

    contract = base.Version(1, 0)
    OPTS = OPTS

    def __init__(self, options: Any, *, backend_id: str) -> None:
        super().__init__(options, backend_id=backend_id)
        self._host, self._port = _target(options.url or "")
        if len(options.secret or "") < _SECRET_LENGTH_MIN:
            raise errors.InvalidConfiguration(
                f"option secret is not set, or shorter than {_SECRET_LENGTH_MIN} characters"
            )
        self._secret: bytes = options.secret.encode()

    def info(self) -> base.DriverInfo:
        return base.DriverInfo(
            name="webhook",
            vendor="imagesvc",
            version="1",
            capabilities=frozenset({audit_sink.AuditSinkCapability.AT_LEAST_ONCE}),
        )

    def health(self) -> base.Health:
        """Connect only: a request would be an event to the receiver."""
        began = time.monotonic()
        try:
            socket.create_connection((self._host, self._port), _HEALTH_TIMEOUT_S).close()
        except OSError as exc:
            return base.Health(base.HealthState.DOWN, f"{self._host}:{self._port}: {exc}")
        return base.Health(base.HealthState.OK, "", (time.monotonic() - began) * 1000)

    def emit(self, events: Sequence[audit_sink.AuditEvent]) -> None:
        with self._session() as session:
            for first in range(0, len(events), self.options.batch_max):
                self._post(session, events[first : first + self.options.batch_max])
                crashpoint("audit_sink.webhook.posted")

    @contextlib.contextmanager
    def _session(self) -> Iterator[requests.Session]:
        try:
            with requests.Session() as session:
                session.trust_env = False  # no proxy or password that the operator did not name
                session.verify = self.options.ca_file or True
                yield session
        except requests.Timeout as exc:
            raise errors.Timeout("The audit sink does not answer.", self._told(exc)) from exc
        except (requests.RequestException, OSError) as exc:
            raise errors.Unavailable(
                "The audit sink does not work just now.", self._told(exc)
            ) from exc

    def _post(self, session: requests.Session, events: Sequence[audit_sink.AuditEvent]) -> None:
        body = json.dumps(
            {"events": [_facts(event) for event in events]}, separators=(",", ":"), default=str
        ).encode("ascii")
        timestamp = str(int(time.time()))
        signed = hmac.new(self._secret, timestamp.encode() + b"." + body, hashlib.sha256)
        answer = session.post(
            self.options.url,
            data=body,
            headers={
                "Content-Type": "application/json",
                "X-Imagesvc-Timestamp": timestamp,
                "X-Imagesvc-Signature": f"sha256={signed.hexdigest()}",
            },
            timeout=self.options.timeout_s,
            allow_redirects=False,
            stream=True,  # what it says in the body is not read
        )
        answer.close()
        self._judge(answer.status_code)

    def _judge(self, status: int) -> None:
        if 200 <= status < 300:
            return
        told = f"webhook {self._host}:{self._port} answered {status}"
        if status in _REFUSED:
            raise errors.AccessDenied("The audit sink refuses the service.", told)
        raise errors.Unavailable("The audit sink does not work just now.", told)

    def _told(self, exc: Exception) -> str:
        # The text of the error may hold the URL, and that a token.
        return f"webhook {self._host}:{self._port}: {type(exc).__name__}"


def _facts(event: audit_sink.AuditEvent) -> dict[str, Any]:
    facts = {field: getattr(event, field) for field in audit_sink.AuditEvent.__slots__}
    return facts | {"created_at": event.created_at.isoformat(), "detail": dict(event.detail)}


def _target(url: str) -> tuple[str, int]:
    parts = urllib.parse.urlsplit(url)
    try:
        port = parts.port
    except ValueError as exc:
        raise errors.InvalidConfiguration("option url names no usable port") from exc
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise errors.InvalidConfiguration("option url is not set, or no http or https URL")
    return parts.hostname, port or (443 if parts.scheme == "https" else 80)
