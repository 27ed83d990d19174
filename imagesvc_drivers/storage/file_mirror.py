"""Two directories that hold the same objects.

An object is written to both at once, flushed in both, compared, then named in the first and then
in the second. A kill between the two names leaves one whole copy, which `restore` gives its twin.
"""

import logging
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from imagesvc.crashpoint import crashpoint
from imagesvc.interface import errors, storage
from imagesvc_drivers.storage import file_object
from imagesvc_drivers.storage.file_folder import FileFolder
from imagesvc_drivers.storage.file_writer import FileWriter

LOG = logging.getLogger(__name__)
_BLOCK = 1 << 20
# A round of repair ends after so many seconds: the reaper has more to do, and comes again.
ROUND_S = 5.0


class MirrorWriter(storage.ObjectWriter):
    """One object on its way into both; for one thread."""

    def __init__(self, key: str, first: FileWriter, second: FileWriter) -> None:
        self._key = key
        self._first = first
        self._second = second
        for writer in (first, second):
            if writer.offset != self.offset:  # both are gone on with, and one had come further
                writer.cut(self.offset)

    @property
    def offset(self) -> int:
        return min(self._first.offset, self._second.offset)

    @property
    def upload_id(self) -> str:
        return f"{self._first.upload_id}:{self._second.upload_id.rpartition(':')[2]}"

    def write(self, data: bytes) -> None:
        self._first.write(data)
        self._second.write(data)

    def fill(self, source: int) -> None:
        """Take all bytes of another file, its holes kept."""
        self._first.fill(source)
        self._second.fill(source)

    def open_uncommitted(self) -> BinaryIO:
        return self._first.open_uncommitted()

    def uncommitted_path(self) -> Path | None:
        return self._first.uncommitted_path()

    def commit(self) -> storage.ObjectInfo:
        for writer in (self._first, self._second):
            writer.seal()
        with self._first.open_uncommitted() as one, self._second.open_uncommitted() as other:
            compare(self._key, one.fileno(), other.fileno())
        info = self._first.publish()
        crashpoint("storage.file.half")
        try:
            self._second.publish(replace=True)
        except errors.DriverError:  # one copy alone is no commit
            self._first.unpublish()
            raise
        self.abort()
        return info

    def abort(self) -> None:
        try:
            self._first.abort()
        finally:
            self._second.abort()

    def leave(self) -> None:
        try:
            self._first.leave()
        finally:
            self._second.leave()


def compare(key: str, one: int, other: int) -> None:
    """Read both files to their end. Raises IntegrityError if they differ."""
    place = 0
    with file_object.translated(f"cannot compare the copies of {key}"):
        while block := os.pread(one, _BLOCK, place):
            if block != os.pread(other, len(block), place):
                raise _differ(key, place)
            place += len(block)
        if os.pread(other, 1, place):
            raise _differ(key, place)


def _differ(key: str, place: int) -> errors.IntegrityError:
    return errors.IntegrityError(
        "The storage backend kept other bytes than it was given.",
        f"the copies of {key} differ after byte {place}",
    )


class Mirror:
    """Keeps the second directory as the first is, for the reaper."""

    def __init__(self, folders: Sequence[FileFolder]) -> None:
        self._folders = folders
        self._equal_at: list[int] | None = None

    def restore(self, older_than_s: float) -> int:
        """Copy objects that stand in one directory alone to the other; how many.

        Those that are younger may be on their way. A directory that is not there raises
        Unavailable, and nothing is done. Nothing is read while neither directory changes.
        """
        before = time.time() - older_than_s
        end = time.monotonic() + ROUND_S
        with file_object.translated("cannot compare the directories"):
            changed_at = [folder.objects.stat().st_mtime_ns for folder in self._folders]
            if changed_at == self._equal_at:
                return 0
            first, second = (frozenset(folder.keys()) for folder in self._folders)
        count, left = 0, False
        for key in sorted(first ^ second):
            source, target = self._folders if key in first else reversed(self._folders)
            try:
                if time.monotonic() > end or not _is_old(source.path_of(key), before):
                    left = True
                    continue
                count += _copy(key, source, target)
            except errors.NoSpace:
                raise
            except errors.InvalidArgument:  # a name that is no key
                continue
            except errors.DriverError as exc:  # the others may still get theirs
                LOG.warning("no second copy of an object key=%s: %s", key, exc.operator_message)
                left = True
        # A change of the very last moment may leave the time as it was.
        settled = max(changed_at) < time.time_ns() - 10**9
        self._equal_at = changed_at if settled and not left and not count else None
        return count


def _is_old(path: Path, before: float) -> bool:
    with file_object.translated("cannot look at a copy"):
        try:
            return path.stat().st_mtime <= before
        except FileNotFoundError:  # deleted meanwhile
            return False


def _copy(key: str, source: FileFolder, target: FileFolder) -> bool:
    try:
        with (
            file_object.translated(f"cannot restore {key}"),
            source.open_read(key, 0, None) as reader,
            FileWriter(key, target.new_part(), target.path_of(key)) as writer,
        ):
            writer.fill(reader.fileno())
            writer.seal()
            with writer.open_uncommitted() as written:
                compare(key, reader.fileno(), written.fileno())
            writer.publish()
    except (errors.NotFound, errors.AlreadyExists):  # deleted, or its writer came to its end
        return False
    # `delete` looks at the first directory once more after the second, so one of us sees it.
    if not source.path_of(key).exists():
        target.remove(key)
        target.sync()
        return False
    return True
