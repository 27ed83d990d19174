"""One object on its way into a local directory."""

import contextlib
import fcntl
import io
import os
from pathlib import Path
from typing import BinaryIO, cast

from imagesvc.crashpoint import crashpoint
from imagesvc.interface import errors, storage
from imagesvc_drivers.client import sparse, writeback
from imagesvc_drivers.storage import file_object

_CREATE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


class FileWriter(storage.ObjectWriter):
    """One part, locked while its writer lives; for one thread.

    `resumes`: the part of a writer that is gone. Raises NotFound if it is not there, or not gone.
    """

    def __init__(self, key: str, part: Path, target: Path, *, resumes: bool = False) -> None:
        self._key = key
        self._part = part
        self._target = target
        self._offset = 0
        self._writeback = writeback.Writeback()
        self._file: io.FileIO | None = None
        if resumes:
            self._file, self._offset = _taken_up(key, part)
            return
        self._file = io.FileIO(os.open(part, _CREATE, 0o600), "r+b")
        with contextlib.ExitStack() as stack:
            stack.callback(self.abort)
            fcntl.flock(self._file, fcntl.LOCK_EX)
            stack.pop_all()

    @property
    def offset(self) -> int:
        return self._offset

    @property
    def upload_id(self) -> str:
        # What is not flushed is lost with the machine, and another one does not see it.
        return f"{file_object.boot_id()}:{self._part.name}"

    def cut(self, offset: int) -> None:
        """Forget what was taken after so many bytes."""
        self._offset = offset
        self._settle()

    def _open(self) -> io.FileIO:
        if self._file is None:
            raise errors.InvalidArgument("The write has ended.")
        return self._file

    def write(self, data: bytes) -> None:
        descriptor = self._open().fileno()
        with file_object.translated(f"cannot write {self._key}"), memoryview(data) as view:
            for begin, end in sparse.filled(data, self._offset):
                while begin < end:
                    begin += os.pwrite(descriptor, view[begin:end], self._offset + begin)
        self._offset += len(data)
        self._writeback.reached(descriptor, self._offset)

    def fill(self, source: int) -> None:
        """Take all bytes of another file, its holes kept, without reading them if possible."""
        descriptor = self._open().fileno()
        size = os.fstat(source).st_size
        with file_object.translated(f"cannot copy to {self._key}"):
            sparse.copy(source, descriptor, size)
        self._offset = size

    def _settle(self) -> None:
        with file_object.translated(f"cannot write {self._key}"):
            os.ftruncate(self._open().fileno(), self._offset)

    def open_uncommitted(self) -> BinaryIO:
        self._settle()
        with file_object.translated(f"cannot read {self._key}"):
            return cast(BinaryIO, self._part.open("rb", buffering=0))

    def uncommitted_path(self) -> Path | None:
        self._settle()
        return self._part

    def commit(self) -> storage.ObjectInfo:
        self.seal()
        info = self.publish()
        self.abort()
        return info

    def seal(self) -> None:
        """Make the bytes durable; nobody sees them yet."""
        self._settle()
        with file_object.translated(f"cannot commit {self._key}"):
            os.fsync(self._open().fileno())
        crashpoint("storage.file.synced")

    def publish(self, *, replace: bool = False) -> storage.ObjectInfo:
        """Give sealed bytes their name, and make that durable.

        Raises AlreadyExists unless `replace`, Discarded if somebody removed what was written.
        """
        found = os.fstat(self._open().fileno())
        with file_object.translated(f"cannot commit {self._key}"):
            try:
                (os.replace if replace else os.link)(self._part, self._target)
            except FileExistsError as exc:
                raise errors.AlreadyExists(f"The object {self._key} exists.") from exc
            except FileNotFoundError as exc:
                if not self._target.parent.is_dir():
                    raise
                raise errors.Discarded(
                    "What was uploaded was removed before it was whole.",
                    f"the part of {self._key} is gone from the store",
                ) from exc
            crashpoint("storage.file.published")
            file_object.sync_folder(self._target.parent)
        return file_object.describe(self._key, found)

    def unpublish(self) -> None:
        """Take the name away again."""
        with file_object.translated(f"cannot take back {self._key}"):
            self._target.unlink(missing_ok=True)
            file_object.sync_folder(self._target.parent)

    def abort(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            with file_object.translated(f"cannot remove what was written of {self._key}"), file:
                self._part.unlink(missing_ok=True)

    def leave(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            file.close()


def _taken_up(key: str, part: Path) -> tuple[io.FileIO, int]:
    """A part that nobody writes, locked, and how many bytes it has. Raises NotFound."""
    with file_object.translated(f"cannot go on with {key}"), contextlib.ExitStack() as stack:
        try:
            file = io.FileIO(os.open(part, os.O_RDWR | os.O_CLOEXEC), "r+b")
            stack.push(file)
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            there = part.stat()
        except (FileNotFoundError, BlockingIOError) as exc:
            raise errors.NotFound(f"No write of {key} waits for another writer.") from exc
        found = os.fstat(file.fileno())
        if there.st_ino != found.st_ino or found.st_nlink != 1:
            raise errors.NotFound(f"The write of {key} is over.")
        stack.pop_all()
    return file, found.st_size
