"""Users, projects, grants and tokens of the embedded identity, in one SQLite file (0600).

Passwords are kept as scrypt hashes, tokens as SHA-256 digests: who reads the file can log in
as nobody.
"""

import contextlib
import datetime
import hashlib
import hmac
import os
import secrets
import sqlite3
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

from imagesvc.interface import errors
from imagesvc.interface.identity import Identity, Login, Project

DOMAIN = "default"
ADMIN_ROLE = "admin"
# scrypt cost: 16 MiB and some 50 ms a try.
_COST = {"n": 1 << 14, "r": 8, "p": 1}
_SCHEMA = """
create table if not exists project (id text primary key, name text not null unique);
create table if not exists user (
    id text primary key, name text not null unique, salt blob not null, hash blob not null);
create table if not exists "grant" (
    user_id text not null references user (id), project_id text not null references project (id),
    role text not null, primary key (user_id, project_id, role));
create table if not exists token (
    digest text primary key, user_id text not null, project_id text,
    issued_at real not null, expires_at real not null);
create index if not exists ix_token_expires_at on token (expires_at);
"""


class Registry:
    """The file; each call opens it anew, so that processes and threads share nothing else."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def create(self) -> None:
        """Make the file and its tables if they are missing; safe to repeat."""
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(self._path, os.O_CREAT | os.O_RDWR, 0o600))
        with self._write() as db:
            for statement in _SCHEMA.split(";"):
                db.execute(statement)

    @contextlib.contextmanager
    def _read(self) -> Iterator[sqlite3.Connection]:
        try:
            with contextlib.closing(sqlite3.connect(self._path, timeout=10)) as db:
                db.isolation_level = None
                db.execute("pragma foreign_keys = on")
                yield db
        except sqlite3.OperationalError as exc:
            raise errors.Unavailable("The identity file does not answer.", str(exc)) from exc

    @contextlib.contextmanager
    def _write(self) -> Iterator[sqlite3.Connection]:
        with self._read() as db:
            db.execute("begin immediate")
            yield db
            db.execute("commit")

    # ------------------------------------------------- projects and users

    def create_project(self, name: str) -> str:
        """Make a project, or find the one of this name; its id, 32 hex digits."""
        with self._write() as db:
            db.execute("insert or ignore into project values (?, ?)", (uuid.uuid4().hex, name))
            return str(db.execute("select id from project where name = ?", (name,)).fetchone()[0])

    def create_user(self, name: str, password: str) -> str:
        """Make a user, or give the one of this name a new password; the id."""
        salt = secrets.token_bytes(16)
        with self._write() as db:
            db.execute(
                "insert into user values (?, ?, ?, ?) on conflict (name) do update"
                " set salt = excluded.salt, hash = excluded.hash",
                (uuid.uuid4().hex, name, salt, _hash(password, salt)),
            )
            return str(db.execute("select id from user where name = ?", (name,)).fetchone()[0])

    def grant(self, user: str, project: str, role: str) -> None:
        """Give a user (id or name) a role in a project (id or name). Raises NotFound."""
        user_id = self.user(user)[0]
        project_id = self.project(project).project_id
        with self._write() as db:
            db.execute(
                'insert or ignore into "grant" values (?, ?, ?)', (user_id, project_id, role)
            )

    def project(self, name_or_id: str) -> Project:
        """Find a project, by id first. Raises NotFound."""
        with self._read() as db:
            row = db.execute(
                "select id, name from project where id = ? or name = ? order by id = ? desc",
                (name_or_id,) * 3,
            ).fetchone()
        if row is None:
            raise errors.NotFound(f"There is no project {name_or_id}.")
        return Project(row[0], row[1], DOMAIN)

    def projects(self, user_id: str | None) -> list[Project]:
        """Projects by name: all, or those where the user has a role."""
        with self._read() as db:
            rows = db.execute(
                "select id, name from project where ?1 is null or id in"
                ' (select project_id from "grant" where user_id = ?1) order by name',
                (user_id,),
            ).fetchall()
        return [Project(row[0], row[1], DOMAIN) for row in rows]

    def user(self, name_or_id: str) -> tuple[str, str]:
        """Id and name of a user. Raises NotFound."""
        with self._read() as db:
            row = db.execute(
                "select id, name from user where id = ? or name = ? order by id = ? desc",
                (name_or_id,) * 3,
            ).fetchone()
        if row is None:
            raise errors.NotFound(f"There is no user {name_or_id}.")
        return str(row[0]), str(row[1])

    def verify(self, name_or_id: str, password: str) -> str | None:
        """Id of the user if the password is right; the same time is spent on unknown users."""
        with self._read() as db:
            row = db.execute(
                "select id, salt, hash from user where id = ? or name = ? order by id = ? desc",
                (name_or_id,) * 3,
            ).fetchone()
        user_id, salt, kept = row or ("", b"\0" * 16, b"")
        right = hmac.compare_digest(_hash(password, salt), kept)
        return str(user_id) if right and row else None

    # ------------------------------------------------------------- tokens

    def issue(self, user_id: str, project_id: str | None, expires_at: float) -> str:
        """Make a token; it is kept as a digest alone."""
        token = secrets.token_urlsafe(32)
        now = time.time()
        with self._write() as db:
            db.execute("delete from token where expires_at < ?", (now,))
            db.execute(
                "insert into token values (?, ?, ?, ?, ?)",
                (_digest(token), user_id, project_id, now, expires_at),
            )
        return token

    def login(self, token: str) -> Login | None:
        """What a token stands for; None if it is unknown, ended or expired."""
        with self._read() as db:
            row = db.execute(
                "select t.user_id, u.name, t.project_id, p.name, t.issued_at, t.expires_at"
                " from token t join user u on u.id = t.user_id"
                " left join project p on p.id = t.project_id"
                " where t.digest = ? and t.expires_at > ?",
                (_digest(token), time.time()),
            ).fetchone()
            if row is None:
                return None
            roles = db.execute(
                'select role from "grant" where user_id = ? and project_id = ?', (row[0], row[2])
            ).fetchall()
        held = frozenset(str(role[0]) for role in roles)
        if row[2] is not None and not held:
            return None
        identity = Identity(
            user_id=row[0],
            user_name=row[1],
            project_id=row[2],
            project_name=row[3],
            domain_id=DOMAIN,
            roles=held,
            is_admin=ADMIN_ROLE in held,
            expires_at=_moment(row[5]),
        )
        return Login(token, identity, _moment(row[4]))

    def has_role(self, user_id: str, project_id: str) -> bool:
        """Whether the user has any role in the project."""
        with self._read() as db:
            found = db.execute(
                'select 1 from "grant" where user_id = ? and project_id = ?', (user_id, project_id)
            ).fetchone()
        return found is not None

    def revoke(self, token: str) -> None:
        """End a token; one that is gone is success."""
        with self._write() as db:
            db.execute("delete from token where digest = ?", (_digest(token),))


def _hash(password: str, salt: bytes) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, dklen=32, **_COST)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _moment(seconds: float) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC)
