"""Storage drivers keep image bytes by key.

Keys are `[A-Za-z0-9._/-]`, at most 255 characters, without empty or dot segments.
Law: bytes are readable only after `commit`; `abort`, or a kill, leaves nothing that `stat`
can see; after `commit` returns a crash of the machine loses nothing; `open_read` yields
exactly what was written. A writer and a reader hold a few MiB whatever the object's size, or
as many bytes as `info().limits` says under `memory_bytes_max`.
"""

import abc
import dataclasses
import datetime
import re
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from imagesvc.interface import base, errors

VERSION = base.Version(1, 3)
KEY_LENGTH_MAX = 255
_SEGMENT = re.compile(r"[A-Za-z0-9._-]+")


def check_key(key: str) -> str:
    """Return `key` if it is well formed; raise InvalidArgument else."""
    segments = key.split("/")
    if len(key) > KEY_LENGTH_MAX or not all(
        _SEGMENT.fullmatch(segment) and segment not in (".", "..") for segment in segments
    ):
        raise errors.InvalidArgument(f"{key!r} is no storage key.")
    return key


class StorageCapability(base.Capability):
    """What a storage driver may offer beyond the required methods."""

    RESUMABLE_WRITE = "resumable-write"
    SERVER_SIDE_COPY = "server-side-copy"
    PRESIGNED_URL = "presigned-url"
    LOCAL_FILE = "local-file"
    COPIES = "copies"


@dataclasses.dataclass(frozen=True, slots=True)
class ObjectInfo:
    """A committed object; `etag` names its content version and is no digest.

    `copies` are those of `size_bytes` that are there (COPIES).
    """

    key: str
    size_bytes: int
    modified_at: datetime.datetime
    etag: str = ""
    copies: int = 1


@dataclasses.dataclass(frozen=True, slots=True)
class Usage:
    """Bytes held and, where the backend knows it, bytes that fit in all."""

    used_bytes: int
    total_bytes: int | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class OwnBucket:
    """The bucket in which a backend keeps its objects, and its key; URLs of endpoints.

    Without endpoints it is Amazon's. No user's bucket may be this one, and no user's key this.
    """

    endpoints: tuple[str, ...]
    bucket: str
    access_key: str = dataclasses.field(default="", repr=False)


class ObjectWriter(abc.ABC):
    """One object being written; a context manager that aborts what was not committed."""

    @property
    @abc.abstractmethod
    def offset(self) -> int:
        """Bytes taken so far."""

    @property
    def upload_id(self) -> str:
        """Name under which `resume_write` finds this write (RESUMABLE_WRITE)."""
        raise errors.NotSupported("This storage cannot resume a write.")

    @abc.abstractmethod
    def write(self, data: bytes) -> None:
        """Append `data`. Raises NoSpace, Unavailable, Discarded."""

    @abc.abstractmethod
    def open_uncommitted(self) -> BinaryIO:
        """Read what was written so far, from the start; the writer stays open.

        Raises NotSupported where the backend cannot read before commit.
        """

    def uncommitted_path(self) -> Path | None:
        """Give the file that holds the bytes so far, flushed, if it is local (LOCAL_FILE)."""
        return None

    @abc.abstractmethod
    def commit(self) -> ObjectInfo:
        """Make the object durable, then readable. Raises NoSpace, Unavailable, Discarded."""

    @abc.abstractmethod
    def abort(self) -> None:
        """Leave nothing behind; safe to repeat and after commit (then without effect)."""

    def leave(self) -> None:
        """End here, and keep what is there for `resume_write`; `abort` is without effect then.

        Without RESUMABLE_WRITE the same as `abort`. Since 1.3.
        """
        self.abort()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.abort()


class StorageDriver(base.Driver):
    """Image bytes by key."""

    @abc.abstractmethod
    def open_write(self, key: str, *, size: int | None = None) -> ObjectWriter:
        """Begin an object; `size` in bytes is a hint. Raises AlreadyExists if `key` is committed."""

    @abc.abstractmethod
    def open_read(self, key: str, *, offset: int = 0, length: int | None = None) -> BinaryIO:
        """Read `length` bytes from `offset` (to the end if None).

        Raises NotFound; InvalidArgument if `offset` is past the end or a number is negative.
        `offset` equal to the size gives an empty reader. With LOCAL_FILE and no `length` it
        is a real file with a `fileno`.
        """

    @abc.abstractmethod
    def stat(self, key: str) -> ObjectInfo:
        """Describe a committed object. Raises NotFound."""

    @abc.abstractmethod
    def delete(self, key: str) -> None:
        """Remove an object; one that is gone is success."""

    @abc.abstractmethod
    def list(
        self, prefix: str = "", *, after: str | None = None, limit: int = 1000
    ) -> "list[ObjectInfo]":
        """List committed objects whose key begins with `prefix`, taken letter by letter.

        In key order (that of Python's `sorted`), those after `after`, which need not exist.
        """

    @abc.abstractmethod
    def usage(self) -> Usage:
        """Say how full the backend is."""

    def discard_stale(self, *, older_than_s: float) -> int:
        """Remove what killed writers left, if older; return how many. For the reaper."""
        return 0

    def resume_write(self, key: str, upload_id: str) -> ObjectWriter:
        """Go on at its `offset` with a write that was left, or whose process died (RESUMABLE_WRITE).

        All before `offset` is there. After it come the bytes that came there before, if any did.
        Raises NotFound if nothing is left, another writer still has it, or it was committed.
        """
        raise errors.NotSupported("This storage cannot resume a write.")

    def copy(self, source_key: str, key: str) -> ObjectInfo:
        """Copy without bytes through the caller (SERVER_SIDE_COPY)."""
        raise errors.NotSupported("This storage cannot copy by itself.")

    def presign(self, key: str, *, method: str = "GET", expires_s: float = 900.0) -> str:
        """Make a short-lived URL to the object (PRESIGNED_URL)."""
        raise errors.NotSupported("This storage has no signed URLs.")

    def path(self, key: str) -> Path:
        """Give the local file that holds the object (LOCAL_FILE); never change it."""
        raise errors.NotSupported("This storage has no local files.")

    def copies(self) -> int:
        """Say how many copies of each object `open_copy` can tell apart; no I/O (COPIES)."""
        return 1

    def open_copy(
        self, key: str, number: int, *, offset: int = 0, length: int | None = None
    ) -> BinaryIO:
        """Read one copy and no other, counted from 0; else as `open_read` (COPIES).

        Raises NotFound if that copy is not there, InvalidArgument for a number above the last.
        `open_read` and `path` take the first copy that is there, `commit` returns when all are
        durable, and `delete` removes all. A copy that a kill or a lost disk left alone gets its
        twin again from `discard_stale`.
        """
        raise errors.NotSupported("This storage keeps one copy.")

    def own_bucket(self) -> OwnBucket | None:
        """Say which bucket this is, if it is one; no I/O. Users' imports and exports keep off it."""
        return None

    def warnings(self) -> tuple[str, ...]:
        """Say what works as it is configured and yet wants a look, a sentence each; after `open`."""
        return ()
