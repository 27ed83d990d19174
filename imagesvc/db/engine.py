"""The database: engines for SQLite and PostgreSQL, and the two kinds of transaction."""

import contextlib
import os
import select
import time
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine.interfaces import DBAPIConnection

from imagesvc import errors
from imagesvc.db import attempt, metadata

_WRITE = "imagesvc_write"
_BUSY_TIMEOUT_S = int(attempt.PATIENCE_S)
_POOL_SIZE = 10
_POOL_OVERFLOW = 40
_POOL_RECYCLE_S = 1800
# How long PostgreSQL may keep a thread waiting. A transaction whose process was stopped in the
# middle of it would else hold its locks for ever, and so all who want the same rows.
_CONNECT_S = 5
_LOCK_WAIT_S = 30.0
_IDLE_S = 60.0
_UNACKNOWLEDGED_S = 30
_RESTED_S = 1.0
_RESTS_SINCE = "imagesvc_rests_since"


class Database:
    """One database by its URL. Threads share it; each process has connections of its own.

    An engine is made at first use in a process, so that no connection crosses a fork.
    """

    def __init__(self, url: str) -> None:
        self._url = _normal(url)
        self._engines: dict[int, sa.Engine] = {}
        self._reading: dict[str, Any] = {}
        if self.dialect == "postgresql":
            self._reading = {"isolation_level": "AUTOCOMMIT"}

    @property
    def engine(self) -> sa.Engine:
        """The engine of this process."""
        pid = os.getpid()
        found = self._engines.get(pid)
        if found is None:
            # A parent's engine stays referenced: closing its connections here would be seen there.
            found = self._engines.setdefault(pid, _create(self._url))
        return found

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`."""
        return self._url.get_backend_name()

    @contextlib.contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """A connection for reading alone.

        On PostgreSQL each statement is a transaction of its own, which there sees as much as
        one of several at READ COMMITTED, and spares BEGIN and ROLLBACK their way to the server.
        """
        with self.engine.connect().execution_options(**self._reading) as conn:
            yield conn

    @contextlib.contextmanager
    def scan(self) -> Iterator[sa.Connection]:
        """A connection for results that are read as a stream; what it changed is rolled back."""
        with self.engine.connect() as conn:
            yield conn

    @contextlib.contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """A connection in a transaction: committed on a clean exit, else rolled back.

        On SQLite it holds the write lock from the start, after at most 30 s of waiting.
        """
        with self.engine.connect().execution_options(**{_WRITE: True}) as conn:
            with conn.begin():
                yield conn
            attempt.note_commit()

    def dispose(self) -> None:
        """Close this process's connections; the next use opens new ones."""
        found = self._engines.pop(os.getpid(), None)
        if found is not None:
            found.dispose()


def is_transient(exc: Exception) -> bool:
    """Whether an error is of the engine's making and may not come again: away, busy, deadlock."""
    if isinstance(exc, sa.exc.OperationalError | sa.exc.InterfaceError | sa.exc.TimeoutError):
        return True
    lost = isinstance(exc, sa.exc.DBAPIError) and exc.connection_invalidated
    return lost or attempt.asks(exc)


def check_schema(database: Database) -> None:
    """Raise ConfigurationError unless the schema is the one this code was written for."""
    with database.read() as conn:
        table = sa.table("alembic_version", sa.column("version_num"))
        present = None
        if sa.inspect(conn).has_table(table.name):
            present = conn.scalar(sa.select(table.c.version_num))
    if present != metadata.SCHEMA_VERSION:
        raise errors.ConfigurationError(
            "The database schema is {present}, this release needs {needed}. "
            "Run: imagesvc-manage db upgrade",
            present=f"version {present}" if present else "not there",
            needed=f"version {metadata.SCHEMA_VERSION}",
        )


def _normal(url: str) -> sa.URL:
    parsed = sa.make_url(url)
    if parsed.drivername in ("postgresql", "postgres"):
        return parsed.set(drivername="postgresql+psycopg")
    if parsed.get_backend_name() not in ("sqlite", "postgresql"):
        raise errors.ConfigurationError(
            "[database] url names {name}; sqlite and postgresql are possible.",
            name=parsed.drivername,
        )
    return parsed


def _create(url: sa.URL) -> sa.Engine:
    if url.get_backend_name() == "sqlite":
        return _create_sqlite(url)
    engine = sa.create_engine(
        url,
        pool_size=_POOL_SIZE,
        max_overflow=_POOL_OVERFLOW,
        pool_recycle=_POOL_RECYCLE_S,
        skip_autocommit_rollback=True,
        connect_args={
            "options": (
                f"-c timezone=UTC -c lock_timeout={int(_LOCK_WAIT_S * 1000)} "
                f"-c idle_in_transaction_session_timeout={int(_IDLE_S * 1000)}"
            ),
            "application_name": "imagesvc",
            "connect_timeout": _CONNECT_S,
            "tcp_user_timeout": _UNACKNOWLEDGED_S * 1000,
        },
    )
    _ping_doubtful(engine)
    return engine


def _ping_doubtful(engine: sa.Engine) -> None:
    """Replace a connection that died while it rested.

    It is asked only after a long rest, or if something came in: a server that ends says so. To
    ask before each use would cost as much as to read an image.
    """

    @sa.event.listens_for(engine, "checkin")
    def _rest(raw: DBAPIConnection, record: Any) -> None:
        record.info[_RESTS_SINCE] = time.monotonic()

    @sa.event.listens_for(engine, "checkout")
    def _wake(raw: DBAPIConnection, record: Any, proxy: Any) -> None:
        since = record.info.get(_RESTS_SINCE)
        if since is None or (time.monotonic() - since < _RESTED_S and not _has_news(raw)):
            return
        try:
            engine.dialect.do_ping(raw)
        except engine.dialect.loaded_dbapi.Error as exc:  # told to the pool in its own words
            raise sa.exc.DisconnectionError("The connection was cut.") from exc


def _has_news(raw: Any) -> bool:
    poll = select.poll()
    poll.register(raw.fileno(), select.POLLIN)
    return bool(poll.poll(0))


def _create_sqlite(url: sa.URL) -> sa.Engine:
    engine = sa.create_engine(
        url,
        pool_size=_POOL_SIZE,
        max_overflow=_POOL_OVERFLOW,
        connect_args={"timeout": _BUSY_TIMEOUT_S, "check_same_thread": False},
    )

    @sa.event.listens_for(engine, "connect")
    def _connect(raw: DBAPIConnection, record: Any) -> None:
        raw.isolation_level = None  # BEGIN is ours alone
        cursor = raw.cursor()
        cursor.execute(f"PRAGMA busy_timeout = {_BUSY_TIMEOUT_S * 1000}")
        cursor.execute("PRAGMA journal_mode = WAL")
        # NORMAL can lose a commit that was already acknowledged.
        cursor.execute("PRAGMA synchronous = FULL")
        cursor.execute("PRAGMA foreign_keys = ON")
        # Else INSERT OR REPLACE removes rows past the triggers that keep the audit trail.
        cursor.execute("PRAGMA recursive_triggers = ON")
        cursor.close()

    @sa.event.listens_for(engine, "begin")
    def _begin(conn: sa.Connection) -> None:
        # A deferred BEGIN that reads and then writes fails at once when another wrote meanwhile.
        write = conn.get_execution_options().get(_WRITE, False)
        conn.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

    return engine
