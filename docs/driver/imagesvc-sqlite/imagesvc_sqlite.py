"""Images in one SQLite file: blocks of bytes, and a row of `object` once they are committed."""

import contextlib
import datetime
import io
import sqlite3
import time
import uuid

from oslo_config import cfg

from imagesvc.interface import base, errors, storage

SCHEMA = (
    "CREATE TABLE IF NOT EXISTS object (key TEXT PRIMARY KEY, size INT, at REAL, upload TEXT)",
    "CREATE TABLE IF NOT EXISTS block (upload TEXT, begin INT, data BLOB, at REAL,"
    " PRIMARY KEY (upload, begin))",
    "CREATE TRIGGER IF NOT EXISTS object_deleted AFTER DELETE ON object"
    " BEGIN DELETE FROM block WHERE upload = OLD.upload; END",
)
FIND = "SELECT key, size, at, upload FROM object WHERE key = ?"
LIST = (
    "SELECT key, size, at, upload FROM object"
    " WHERE substr(key, 1, length(?1)) = ?1 AND key > ?2 ORDER BY key LIMIT ?3"
)
READ = (
    "SELECT substr(data, ?2 - begin + 1, ?3) FROM block"
    " WHERE upload = ?1 AND begin <= ?2 ORDER BY begin DESC LIMIT 1"
)
ABORT = "DELETE FROM block WHERE upload = ?1 AND ?1 NOT IN (SELECT upload FROM object)"
DISCARD = (
    "DELETE FROM block WHERE upload NOT IN (SELECT upload FROM object)"
    " AND upload NOT IN (SELECT upload FROM block WHERE at > ?) RETURNING upload"
)


class SqliteStorage(storage.StorageDriver):
    """SQLite flushes each transaction to the disk, and undoes what the dead left half done."""

    contract = base.Version(1, 0)
    OPTS = (cfg.StrOpt("path", required=True, help="File of the images, in an existing folder."),)

    def run(self, sql, *values):
        """Run one transaction; the one place where errors of SQLite become the contract's."""
        try:
            with contextlib.closing(sqlite3.connect(self.options.path, timeout=30)) as conn, conn:
                return conn.execute(sql, values).fetchall()
        except sqlite3.IntegrityError as exc:
            raise errors.AlreadyExists("The object exists.", str(exc)) from exc
        except sqlite3.Error as exc:
            full = exc.sqlite_errorcode == sqlite3.SQLITE_FULL
            kind = errors.NoSpace if full else errors.Unavailable
            raise kind("The image storage does not work just now.", str(exc)) from exc

    def open(self):
        for sql in SCHEMA:
            self.run(sql)

    def info(self):
        return base.DriverInfo(name="sqlite", vendor="Acme", version="1.0")

    def health(self):
        self.usage()
        return base.Health(base.HealthState.OK)

    def open_write(self, key, *, size=None):
        if self.run(FIND, storage.check_key(key)):
            raise errors.AlreadyExists(f"The object {key} exists.")
        return SqliteWriter(self, key)

    def open_read(self, key, *, offset=0, length=None):
        found = self.stat(key)
        if not 0 <= offset <= found.size_bytes or (length or 0) < 0:
            raise errors.InvalidArgument(f"{key} has no range {offset}, {length}.")
        end = found.size_bytes if length is None else min(found.size_bytes, offset + length)
        return SqliteReader(self, found.etag, offset, end)

    def stat(self, key):
        for row in self.run(FIND, storage.check_key(key)):
            return described(*row)
        raise errors.NotFound(f"There is no object {key}.")

    def delete(self, key):
        self.run("DELETE FROM object WHERE key = ?", storage.check_key(key))

    def list(self, prefix="", *, after=None, limit=1000):
        return [described(*row) for row in self.run(LIST, prefix, after or "", limit)]

    def usage(self):
        return storage.Usage(self.run("SELECT coalesce(sum(size), 0) FROM object")[0][0])

    def discard_stale(self, *, older_than_s):
        return len(set(self.run(DISCARD, time.time() - older_than_s)))


class SqliteWriter(storage.ObjectWriter):
    """Blocks under a fresh upload id; the object's row makes them readable, all at once."""

    offset = 0

    def __init__(self, store, key):
        self.store, self.key, self.upload = store, key, uuid.uuid4().hex

    def write(self, data):
        if data:
            insert = "INSERT INTO block VALUES (?, ?, ?, ?)"
            self.store.run(insert, self.upload, self.offset, data, time.time())
            self.offset += len(data)

    def open_uncommitted(self):
        return SqliteReader(self.store, self.upload, 0, self.offset)

    def commit(self):
        insert = "INSERT INTO object VALUES (?, ?, ?, ?) RETURNING *"
        return described(
            *self.store.run(insert, self.key, self.offset, time.time(), self.upload)[0]
        )

    def abort(self):
        self.store.run(ABORT, self.upload)


class SqliteReader(io.RawIOBase):
    """Reads block by block; a block that is gone was deleted meanwhile."""

    def __init__(self, store, upload, place, end):
        self.store, self.upload, self.place, self.end = store, upload, place, end

    def readable(self):
        return True

    def readinto(self, buffer):
        wanted = min(len(buffer), self.end - self.place)
        rows = self.store.run(READ, self.upload, self.place, wanted) if wanted else [(b"",)]
        if not rows:
            raise errors.NotFound("The object was deleted.")
        buffer[: len(rows[0][0])] = rows[0][0]
        self.place += len(rows[0][0])
        return len(rows[0][0])


def described(key, size, at, upload):
    """A row in the words of the contract; the upload id names the content."""
    modified = datetime.datetime.fromtimestamp(at, datetime.UTC)
    return storage.ObjectInfo(key, size, modified, etag=upload)
