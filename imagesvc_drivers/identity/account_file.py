"""Users, projects, roles and tokens in one SQLite file (mode 0600), shared by processes."""

import contextlib
import os
import queue
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from imagesvc.interface import errors

_SCHEMA = """
CREATE TABLE IF NOT EXISTS user (
    id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, password TEXT NOT NULL,
    enabled INTEGER NOT NULL DEFAULT 1);
CREATE TABLE IF NOT EXISTS project (
    id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, enabled INTEGER NOT NULL DEFAULT 1);
CREATE TABLE IF NOT EXISTS user_role (
    user_id TEXT NOT NULL REFERENCES user(id) ON DELETE CASCADE,
    project_id TEXT NOT NULL REFERENCES project(id) ON DELETE CASCADE,
    role TEXT NOT NULL, PRIMARY KEY (user_id, project_id, role)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS token (
    hash TEXT PRIMARY KEY, user_id TEXT NOT NULL REFERENCES user(id) ON DELETE CASCADE,
    project_id TEXT REFERENCES project(id) ON DELETE CASCADE,
    issued_at REAL NOT NULL, expires_at REAL NOT NULL, methods TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS token_expires ON token (expires_at);
CREATE INDEX IF NOT EXISTS token_user ON token (user_id);
CREATE TABLE IF NOT EXISTS failure (
    user_id TEXT PRIMARY KEY, count INTEGER NOT NULL, since REAL NOT NULL) WITHOUT ROWID;
"""
_BUSY_S = 30.0
_IDLE_MAX = 8


class AccountFile:
    """Connections to the file: lent to one thread at a time, given up after a fork."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._idle: queue.LifoQueue[tuple[int, sqlite3.Connection]] = queue.LifoQueue(_IDLE_MAX)

    def create(self) -> None:
        """Make the file and its tables if missing."""
        with translated():
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        with self.write() as conn:
            for statement in _SCHEMA.split(";"):
                conn.execute(statement)

    @contextlib.contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """Lend a connection; each statement sees what is committed."""
        with translated():
            conn = self._take()
            try:
                yield conn
            except sqlite3.Error:
                conn.close()
                raise
            except BaseException:
                self._give(conn)
                raise
            self._give(conn)

    @contextlib.contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """Lend a connection in a transaction that is durable on a clean exit."""
        with self.read() as conn:
            conn.execute("BEGIN IMMEDIATE")
            try:
                yield conn
            except BaseException:
                conn.rollback()
                raise
            conn.execute("COMMIT")

    def close(self) -> None:
        """Close idle connections; safe to repeat."""
        with contextlib.suppress(queue.Empty):
            while True:
                self._idle.get_nowait()[1].close()

    def _take(self) -> sqlite3.Connection:
        with contextlib.suppress(queue.Empty):
            while True:
                process, conn = self._idle.get_nowait()
                if process == os.getpid():
                    return conn
        conn = sqlite3.connect(
            f"{self._path.as_uri()}?mode=rw",
            uri=True,
            timeout=_BUSY_S,
            isolation_level=None,
            check_same_thread=False,
        )
        conn.execute("PRAGMA journal_mode = WAL")
        conn.execute("PRAGMA synchronous = FULL")
        conn.execute("PRAGMA foreign_keys = ON")
        return conn

    def _give(self, conn: sqlite3.Connection) -> None:
        try:
            self._idle.put_nowait((os.getpid(), conn))
        except queue.Full:
            conn.close()


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Turn errors of SQLite and of the file system into the contract's."""
    try:
        yield
    except sqlite3.IntegrityError as exc:
        raise errors.AlreadyExists("The name is taken.", str(exc)) from exc
    except (sqlite3.Error, OSError) as exc:
        raise errors.Unavailable(
            "The identity backend does not work just now.", f"identity file: {exc}"
        ) from exc
