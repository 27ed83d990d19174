"""An object while it is written to a file, and readers of a part of one."""

import contextlib
import datetime
import errno
import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

from imagesvc.crashpoint import crashpoint
from imagesvc.interface import errors, storage

ZERO_BLOCK = bytes(64 << 10)
_COPY_BYTES = 1 << 30
_LINK_ATTEMPTS = 10
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@contextlib.contextmanager
def translated(key: str) -> Iterator[None]:
    """Turn errors of the file system into those of the contract."""
    try:
        yield
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as exc:
        raise errors.NotFound(f"There is no object {key}.", str(exc)) from exc
    except FileExistsError as exc:
        raise errors.AlreadyExists(f"The object {key} exists.", str(exc)) from exc
    except OSError as exc:
        if exc.errno in _FULL:
            raise errors.NoSpace("The store is full.", str(exc)) from exc
        raise errors.Unavailable("The store does not answer rightly.", str(exc)) from exc


class FileWriter(storage.ObjectWriter):
    """Writes a part, then gives it its name."""

    def __init__(self, key: str, part: Path, place: Path, root: Path) -> None:
        self._key = key
        self._part = part
        self._place = place
        self._root = root
        self._offset = 0
        self._file = part.open("xb", buffering=0)
        os.chmod(part, 0o600)

    @property
    def offset(self) -> int:
        """Bytes taken so far."""
        return self._offset

    def write(self, data: bytes) -> None:
        """Append `data`; zero blocks become holes. Raises NoSpace, Unavailable."""
        with translated(self._key):
            view = memoryview(data)
            for start in range(0, len(data), len(ZERO_BLOCK)):
                block = data[start : start + len(ZERO_BLOCK)]
                if block == ZERO_BLOCK:
                    self._file.seek(len(block), os.SEEK_CUR)
                else:
                    self._write(view[start : start + len(block)])
        self._offset += len(data)

    def _write(self, view: memoryview) -> None:
        while view:
            view = view[self._file.write(view) :]

    def copy_from(self, source: int) -> None:
        """Append all that the descriptor `source` still holds, inside the kernel."""
        target = self._file.fileno()
        while count := os.copy_file_range(source, target, _COPY_BYTES):
            self._offset += count

    def _flush(self) -> None:
        self._file.truncate(self._offset)
        os.fdatasync(self._file.fileno())

    def open_uncommitted(self) -> BinaryIO:
        """Read what was written so far."""
        with translated(self._key):
            self._file.truncate(self._offset)
            return cast(BinaryIO, self._part.open("rb"))

    def uncommitted_path(self) -> Path | None:
        """Give the part's file, with its full length."""
        with translated(self._key):
            self._file.truncate(self._offset)
        return self._part

    def commit(self) -> storage.ObjectInfo:
        """Flush the bytes, then link them to their place and flush the folders."""
        with translated(self._key):
            self._flush()
            crashpoint("storage.file.synced")
            made = self._link()
            self._part.unlink()
            for folder in {self._place.parent, *made}:
                _sync_folder(folder)
            crashpoint("storage.file.published")
            self._file.close()
            facts = self._place.stat()
        return describe(self._key, facts)

    def _link(self) -> list[Path]:
        """Give the part its name, and return the folders above it.

        A delete of a neighbour may take the empty folder away between the two calls.
        """
        for _ in range(_LINK_ATTEMPTS - 1):
            self._place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            try:
                os.link(self._part, self._place)
                break
            except FileNotFoundError:
                continue
        else:
            self._place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            os.link(self._part, self._place)
        return [folder for folder in self._place.parents if folder.is_relative_to(self._root)]

    def abort(self) -> None:
        """Leave nothing behind."""
        self._file.close()
        self._part.unlink(missing_ok=True)


class LimitedFile(io.RawIOBase):
    """The next `length` bytes of an open file; keeps its `fileno`."""

    def __init__(self, file: io.FileIO, length: int) -> None:
        super().__init__()
        self._inner = file
        self._left = length

    def fileno(self) -> int:
        """Descriptor of the file."""
        return self._inner.fileno()

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: "bytearray | memoryview") -> int:  # type: ignore[override]
        """Read into `buffer`; 0 at the end of the part."""
        view = memoryview(buffer)[: self._left]
        count = self._inner.readinto(view) if view else 0
        self._left -= count or 0
        return count or 0

    def close(self) -> None:
        """Close the file."""
        self._inner.close()
        super().close()


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def describe(key: str, facts: os.stat_result) -> storage.ObjectInfo:
    """What the contract tells of a file."""
    modified = datetime.datetime.fromtimestamp(facts.st_mtime, datetime.UTC)
    return storage.ObjectInfo(
        key, facts.st_size, modified, f"{facts.st_ino:x}-{facts.st_mtime_ns:x}"
    )
