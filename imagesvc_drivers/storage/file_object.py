"""Objects as files: their facts, their errors, a part of one."""

import contextlib
import datetime
import errno
import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from imagesvc.interface import errors, storage

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_FULL = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EFBIG))


@contextlib.contextmanager
def translated(what: str) -> Iterator[None]:
    """Turn what the file system says into the errors of the contract."""
    try:
        yield
    except OSError as exc:
        detail = f"{what}: {exc}"
        if exc.errno in _FULL:
            raise errors.NoSpace("The storage backend is full.", detail) from exc
        if exc.errno in (errno.EACCES, errno.EPERM):
            raise errors.AccessDenied("The storage backend refuses access.", detail) from exc
        raise errors.Unavailable("The storage backend does not work just now.", detail) from exc


def describe(key: str, found: os.stat_result) -> storage.ObjectInfo:
    """What the contract tells of a file."""
    modified = datetime.datetime.fromtimestamp(found.st_mtime, datetime.UTC)
    etag = f"{found.st_ino:x}-{found.st_mtime_ns:x}-{found.st_size:x}"
    return storage.ObjectInfo(key, found.st_size, modified, etag)


def boot_id() -> str:
    """Which start of which machine this is; "" if it does not say.

    What was written and not flushed is there for as long as this stays the same, and no longer.
    """
    try:
        return _BOOT_ID.read_text("ascii").strip()
    except OSError:
        return ""


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class BoundedFile(io.RawIOBase):
    """At most `length` bytes of a file from its present place; closes it."""

    def __init__(self, file: io.FileIO, length: int) -> None:
        super().__init__()
        self._file = file
        self._left = length

    def readable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._file.fileno()

    def readinto(self, buffer: Any) -> int:
        with memoryview(buffer).cast("B") as view, view[: self._left] as room:
            count = self._file.readinto(room) or 0
        self._left -= count
        return count

    def close(self) -> None:
        self._file.close()
        super().close()
