"""Users and tokens in a local file (embedded default).

Tokens are random and stored as SHA-256 only. Roles are read at each request, so what is
withdrawn or revoked in one process ends at once in all; hence nothing is cached.
"""

import contextlib
import datetime
import hashlib
import secrets
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from oslo_config import cfg

from imagesvc.interface import base, errors, identity
from imagesvc_drivers.identity import account, account_file
from imagesvc_drivers.identity import password as passwords

_DOMAINS = frozenset(("", "default", "Default"))
_IMPLIED = {"admin": ("member", "reader"), "member": ("reader",)}
_REFUSED = "The user, the password or the project is not right."
_UNKNOWN = "The request needs a valid token."
_TOKEN_LENGTH_MAX = 255

OPTS = (
    cfg.StrOpt(
        "path",
        default="${service.state_dir}/identity.sqlite",
        help="File of users, projects, roles and tokens, made with mode 0600 if missing. All "
        "processes of the service need the same one, on a local file system.",
    ),
    cfg.IntOpt(
        "token_expires_s",
        default=8 * 3600,
        min=60,
        max=30 * 24 * 3600,
        help="Life of a token in seconds. Long uploads need it to last until they begin; a long "
        "life lets a stolen token be used for longer.",
    ),
    cfg.IntOpt(
        "failures_max",
        default=100,
        min=1,
        help="Failed logins of one user within failure_window_s after which further ones are "
        "refused, also with the right password, until the window has passed. Low values let "
        "anybody lock a user out, high ones leave more room to guess.",
    ),
    cfg.IntOpt(
        "failure_window_s",
        default=900,
        min=1,
        help="Seconds over which failed logins are counted.",
    ),
)


class LocalIdentity(account.AccountAdmin, identity.IdentityDriver):
    """Passwords in, tokens out; the one domain is `default`."""

    contract = base.Version(1, 0)
    OPTS = OPTS

    def __init__(self, options: Any, *, backend_id: str) -> None:
        super().__init__(options, backend_id=backend_id)
        path = Path(options.path)
        if not path.is_absolute():
            raise errors.InvalidConfiguration(f"option path is {path}, not an absolute path")
        self._file = account_file.AccountFile(path)
        self._expires_s: int = options.token_expires_s
        self._failures_max: int = options.failures_max
        self._window_s: int = options.failure_window_s

    def open(self) -> None:
        self._file.create()

    def close(self) -> None:
        self._file.close()

    def info(self) -> base.DriverInfo:
        return base.DriverInfo(
            name="local",
            vendor="imagesvc",
            version="1",
            capabilities=frozenset(
                (identity.IdentityCapability.LOOKUP, identity.IdentityCapability.LOGIN)
            ),
            limits={"password_bytes_max": passwords.BYTES_MAX},
        )

    def health(self) -> base.Health:
        began = time.monotonic()
        try:
            with self._file.read() as conn:
                (users,) = conn.execute("SELECT count(*) FROM user").fetchone()
        except errors.DriverError as exc:
            return base.Health(base.HealthState.DOWN, exc.operator_message)
        took = (time.monotonic() - began) * 1000
        if not users:
            return base.Health(base.HealthState.DEGRADED, "there is no user yet", took)
        return base.Health(base.HealthState.OK, "", took)

    def challenge(self) -> str:
        return 'Keystone uri="/v3"'

    def authenticate(self, request: identity.AuthRequest) -> identity.Identity:
        token = request.headers.get("x-auth-token", "")
        with _refused(_UNKNOWN), self._file.read() as conn:
            return _read_token(conn, token).identity

    def login(
        self, user: str, password: str, scope: identity.LoginScope, *, domain: str = ""
    ) -> identity.Login:
        with self._file.read() as conn:
            row = conn.execute(
                "SELECT id, password, enabled FROM user WHERE id = ?1 OR name = ?1 "
                "ORDER BY id = ?1 DESC LIMIT 1",
                (user,),
            ).fetchone()
        user_id, stored, enabled = row or ("", None, 0)
        right = passwords.matches(password, stored)
        now = time.time()
        with self._file.write() as conn:
            open_to_try = self._count(conn, user_id, right, now)
        if not (right and enabled and open_to_try and domain in _DOMAINS):
            raise identity.Unauthenticated(_REFUSED)
        with _refused(_REFUSED):
            return self._issue(user_id, scope, now, now + self._expires_s, ("password",))

    def describe(self, token: str) -> identity.Login:
        with self._file.read() as conn:
            return _read_token(conn, token)

    def rescope(self, token: str, scope: identity.LoginScope) -> identity.Login:
        with _refused(_REFUSED):
            old = self.describe(token)
            expires = old.identity.expires_at
            until = expires.timestamp() if expires else time.time() + self._expires_s
            methods = tuple(dict.fromkeys((*old.methods, "token")))
            return self._issue(old.identity.user_id, scope, time.time(), until, methods)

    def revoke(self, token: str) -> None:
        with self._file.write() as conn:
            conn.execute("DELETE FROM token WHERE hash = ?", (_digest(token),))

    def _issue(
        self,
        user_id: str,
        scope: identity.LoginScope,
        now: float,
        until: float,
        methods: tuple[str, ...],
    ) -> identity.Login:
        token = secrets.token_urlsafe(32)
        with self._file.write() as conn:
            project_id = _scoped(conn, scope)
            conn.execute("DELETE FROM token WHERE expires_at <= ?", (now,))
            conn.execute(
                "INSERT INTO token VALUES (?, ?, ?, ?, ?, ?)",
                (_digest(token), user_id, project_id, now, until, ",".join(methods)),
            )
            return _read_token(conn, token)  # raises, and so undoes, where there is no role

    def _count(self, conn: sqlite3.Connection, user_id: str, right: bool, now: float) -> bool:
        """Count a failed login; an unknown user costs the same write. False: too many."""
        row = conn.execute(
            "SELECT count, since FROM failure WHERE user_id = ?", (user_id,)
        ).fetchone()
        count, since = row if row and row[1] > now - self._window_s else (0, now)
        if count >= self._failures_max:
            return False
        if right:
            conn.execute("DELETE FROM failure WHERE user_id = ?", (user_id,))
        else:
            conn.execute(
                "INSERT OR REPLACE INTO failure VALUES (?, ?, ?)",
                (user_id, count + 1 if user_id else 0, since),
            )
        return True


@contextlib.contextmanager
def _refused(text: str) -> Iterator[None]:
    """Give one text for every cause."""
    try:
        yield
    except errors.NotFound as exc:
        raise identity.Unauthenticated(text) from exc


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def _scoped(conn: sqlite3.Connection, scope: identity.LoginScope) -> str | None:
    wanted = scope.project_id or scope.project_name
    if not wanted:
        return None
    if (scope.domain or "") not in _DOMAINS:
        raise errors.NotFound(_UNKNOWN)
    found = account.require(conn, "project", wanted)
    if wanted != (found[0] if scope.project_id else found[1]):
        raise errors.NotFound(_UNKNOWN)
    return found[0]


def _read_token(conn: sqlite3.Connection, token: str) -> identity.Login:
    """Read whom a token stands for, with the roles of now. Raises NotFound."""
    row = None
    if 0 < len(token) <= _TOKEN_LENGTH_MAX:
        row = conn.execute(
            "SELECT u.id, u.name, t.project_id, p.name, t.issued_at, t.expires_at, t.methods, "
            "(SELECT group_concat(role) FROM user_role r WHERE r.user_id = t.user_id "
            " AND r.project_id = t.project_id) "
            "FROM token t JOIN user u ON u.id = t.user_id "
            "LEFT JOIN project p ON p.id = t.project_id "
            "WHERE t.hash = ? AND t.expires_at > ? AND u.enabled "
            "AND (t.project_id IS NULL OR p.enabled)",
            (_digest(token), time.time()),
        ).fetchone()
    if row is None or (row[2] and not row[7]):
        raise errors.NotFound(_UNKNOWN)
    granted = row[7].split(",") if row[7] else []
    roles = frozenset((*granted, *(more for role in granted for more in _IMPLIED.get(role, ()))))
    who = identity.Identity(
        user_id=row[0],
        user_name=row[1],
        project_id=row[2],
        project_name=row[3],
        domain_id=account.DOMAIN_ID,
        roles=roles,
        is_admin="admin" in roles,
        expires_at=_time(row[5]),
    )
    return identity.Login(token, who, _time(row[4]), tuple(row[6].split(",")))


def _time(seconds: float) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC)
