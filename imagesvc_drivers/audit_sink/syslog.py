"""The audit trail to a syslog receiver: RFC 5424 messages, one JSON object in each.

Over TCP by RFC 6587 with octet counting, over UDP by RFC 5426, over a local datagram socket as
/dev/log takes them. What each can promise differs, as syslog has no acknowledgement:

tcp    A batch has a connection of its own, which we end and the receiver must then end too: so
       it has read every byte. Whether it kept them is its own affair.
unix   The kernel took each message for the receiver; a receiver that dies unread loses them.
udp    Nothing: messages may be lost and change places unseen. Its health is DEGRADED for that.
"""

import contextlib
import json
import os
import socket
import time
from collections.abc import Iterator, Sequence
from typing import Any

from oslo_config import cfg

from imagesvc.crashpoint import crashpoint
from imagesvc.interface import audit_sink, base, errors

_NOTICE, _WARNING = 5, 4
_FACILITIES = {"user": 1, "auth": 4, "authpriv": 10, "audit": 13} | {
    f"local{n}": 16 + n for n in range(8)
}
_WORD_MAX = 32  # of MSGID
_HEALTH_TIMEOUT_S = 1.5

OPTS = (
    cfg.StrOpt(
        "transport",
        default="unix",
        choices=["unix", "tcp", "udp"],
        help="How messages travel. tcp is told when the receiver has read a batch to its end; "
        "unix trusts the local daemon; udp may lose messages unseen, so give it only beside "
        "another sink.",
    ),
    cfg.StrOpt(
        "address",
        default="/dev/log",
        help="Path of the socket for unix; host:port, or [IPv6]:port, for tcp and udp.",
    ),
    cfg.StrOpt(
        "facility",
        default="authpriv",
        choices=sorted(_FACILITIES),
        help="Facility of the messages.",
    ),
    cfg.StrOpt(
        "app_name", default="imagesvc", help="APP-NAME of the messages, at most 48 characters."
    ),
    cfg.IntOpt(
        "message_bytes_max",
        default=8192,
        min=2048,
        max=65000,
        help="Longest message in bytes, no longer than the receiver takes. A longer event goes "
        "without its detail, and says so; the service's own trail keeps it.",
    ),
    cfg.FloatOpt(
        "timeout_s",
        default=10.0,
        min=0.1,
        max=60.0,
        help="Seconds that the receiver may take to accept a connection, the next message, and "
        "the end of a batch, each.",
    ),
)


class SyslogAuditSink(audit_sink.AuditSink):
    """Sends each batch in order; threads and processes do not share a connection."""

    contract = base.Version(1, 0)
    OPTS = OPTS

    def __init__(self, options: Any, *, backend_id: str) -> None:
        super().__init__(options, backend_id=backend_id)
        self._transport: str = options.transport
        self._address = _address(options.transport, options.address)
        self._facility = _FACILITIES[options.facility]
        self._app_name = _word(options.app_name, 48)
        self._host = _word(socket.gethostname(), 255)

    def info(self) -> base.DriverInfo:
        return base.DriverInfo(
            name="syslog",
            vendor="imagesvc",
            version="1",
            capabilities=frozenset({audit_sink.AuditSinkCapability.AT_LEAST_ONCE}),
        )

    def health(self) -> base.Health:
        began = time.monotonic()
        try:
            with self._connected(_HEALTH_TIMEOUT_S):
                pass
        except errors.DriverError as exc:
            return base.Health(base.HealthState.DOWN, exc.operator_message)
        took_ms = (time.monotonic() - began) * 1000
        if self._transport == "udp":
            return base.Health(base.HealthState.DEGRADED, "udp may lose messages unseen", took_ms)
        return base.Health(base.HealthState.OK, "", took_ms)

    def emit(self, events: Sequence[audit_sink.AuditEvent]) -> None:
        if not events:
            return
        messages = [self._message(event) for event in events]
        with self._connected(self.options.timeout_s) as connection:
            for message in messages:
                # Octet counting, RFC 6587 section 3.4.1.
                frame = b"%d %b" % (len(message), message) if self._stream else message
                connection.sendall(frame)
                crashpoint("audit_sink.syslog.sent")
            if self._stream:
                _await_end(connection)
            crashpoint("audit_sink.syslog.taken")

    @property
    def _stream(self) -> bool:
        return self._transport == "tcp"

    @contextlib.contextmanager
    def _connected(self, timeout_s: float) -> Iterator[socket.socket]:
        try:
            with self._connect(timeout_s) as connection:
                yield connection
        except TimeoutError as exc:
            raise errors.Timeout(
                "The audit sink does not answer.",
                f"syslog at {self.options.address} took longer than {timeout_s} s",
            ) from exc
        except OSError as exc:
            raise errors.Unavailable(
                "The audit sink does not work just now.",
                f"syslog at {self.options.address}: {exc}",
            ) from exc

    def _connect(self, timeout_s: float) -> socket.socket:
        if isinstance(self._address, str):
            return _open(socket.AF_UNIX, socket.SOCK_DGRAM, self._address, timeout_s)
        if self._stream:
            return socket.create_connection(self._address, timeout_s)
        host, port = self._address
        family, kind, _, _, found = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
        return _open(family, kind, found, timeout_s)

    def _message(self, event: audit_sink.AuditEvent) -> bytes:
        """RFC 5424 section 6: header, no structured data, JSON in ASCII as the message."""
        priority = self._facility * 8 + (_NOTICE if event.outcome == "success" else _WARNING)
        moment = event.created_at.isoformat(timespec="microseconds").replace("+00:00", "Z")
        header = (
            f"<{priority}>1 {moment} {self._host} {self._app_name} {os.getpid()} "
            f"{_word(event.action, _WORD_MAX)} - "
        ).encode("ascii")
        facts = {field: getattr(event, field) for field in audit_sink.AuditEvent.__slots__}
        facts["created_at"] = moment
        facts["detail"] = dict(event.detail)
        message = header + _json(facts)
        if len(message) <= self.options.message_bytes_max:
            return message
        return header + _json(facts | {"detail": {"left_out_bytes": len(_json(facts["detail"]))}})


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), default=str).encode("ascii")


def _word(text: str, length: int) -> str:
    """A header field: printable ASCII without blanks, `-` if nothing is left."""
    kept = "".join(one if "!" <= one <= "~" else "_" for one in text)
    return kept[:length] or "-"


def _address(transport: str, text: str) -> str | tuple[str, int]:
    if transport == "unix":
        if not os.path.isabs(text):
            raise errors.InvalidConfiguration(f"option address is {text}, not an absolute path")
        return text
    host, colon, port = text.rpartition(":")
    if not (colon and host and port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise errors.InvalidConfiguration(f"option address is {text}, not host:port")
    return host.removeprefix("[").removesuffix("]"), int(port)


def _open(family: int, kind: int, address: Any, timeout_s: float) -> socket.socket:
    made = socket.socket(family, kind)
    made.settimeout(timeout_s)
    try:
        made.connect(address)
    except OSError:
        made.close()
        raise
    return made


def _await_end(connection: socket.socket) -> None:
    """End our side; the receiver's end says that it read all, a reset that it did not."""
    connection.shutdown(socket.SHUT_WR)
    while connection.recv(4096):
        pass  # some receivers greet; nothing that they say matters
