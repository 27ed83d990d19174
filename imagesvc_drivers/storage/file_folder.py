"""One directory of objects: what is committed, and what is being written."""

import contextlib
import fcntl
import heapq
import os
import re
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

from imagesvc.interface import errors, storage
from imagesvc_drivers.storage import file_object

_PART = re.compile(r"[0-9a-f]{32}")


class FileFolder:
    """`object/<key>` with `+` for each `/`, and `.part/<uuid>`, under `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.objects = root / "object"
        self.parts = root / ".part"

    def open(self) -> None:
        """Make what is missing."""
        with file_object.translated(f"cannot make {self.root}"):
            for folder in (self.objects, self.parts):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def probe(self) -> None:
        """Make and remove a file. Raises DriverError."""
        probe = self.parts / f"health-{uuid.uuid4().hex}"
        with file_object.translated(f"cannot write to {self.root}"):
            probe.touch(mode=0o600)
            probe.unlink()

    def path_of(self, key: str) -> Path:
        """Where the object of that key lies or would lie. Raises InvalidArgument."""
        return self.objects / storage.check_key(key).replace("/", "+")

    def new_part(self) -> Path:
        """A name for what is to be written."""
        return self.parts / uuid.uuid4().hex

    def part_of(self, name: str) -> Path:
        """What was begun under that name. Raises NotFound for a name that none has."""
        if not _PART.fullmatch(name):
            raise errors.NotFound("There is no such write.")
        return self.parts / name

    def open_read(self, key: str, offset: int, length: int | None) -> BinaryIO:
        """As the contract has it. Raises NotFound, InvalidArgument."""
        path = self.path_of(key)
        with self._found(key), file_object.translated(f"cannot read {key}"):
            file = path.open("rb", buffering=0)
            size = os.fstat(file.fileno()).st_size
            if offset > size:
                file.close()
                raise errors.InvalidArgument(f"Offset {offset} is past the end, {size}.")
            file.seek(offset)
        return cast(BinaryIO, file if length is None else file_object.BoundedFile(file, length))

    def stat(self, key: str) -> storage.ObjectInfo:
        """The object here. Raises NotFound."""
        with self._found(key), file_object.translated(f"cannot stat {key}"):
            return file_object.describe(key, self.path_of(key).stat())

    def remove(self, key: str) -> None:
        """Unlink the object; `sync` makes that durable."""
        with file_object.translated(f"cannot delete {key}"):
            self.path_of(key).unlink(missing_ok=True)

    def sync(self) -> None:
        """Make the names of objects durable."""
        with file_object.translated(f"cannot flush {self.objects}"):
            file_object.sync_folder(self.objects)

    def first_keys(self, prefix: str, after: str, limit: int) -> list[str]:
        """The first keys after `after` that begin with `prefix`, in order."""
        with file_object.translated("cannot list"):
            return heapq.nsmallest(
                limit, (key for key in self.keys() if key.startswith(prefix) and key > after)
            )

    def keys(self) -> Iterator[str]:
        """All keys, in no order. Raises OSError."""
        with os.scandir(self.objects) as entries:
            for entry in entries:
                yield entry.name.replace("+", "/")

    def usage(self) -> storage.Usage:
        """The space of the file system."""
        with file_object.translated("cannot ask for the space"):
            space = os.statvfs(self.objects)
        used = (space.f_blocks - space.f_bfree) * space.f_frsize
        return storage.Usage(used, used + space.f_bavail * space.f_frsize)

    def discard_parts(self, older_than_s: float) -> int:
        """Remove parts whose writer is dead; a living one holds a lock on its part."""
        before = time.time() - older_than_s
        removed = 0
        with file_object.translated("cannot discard"):
            for part in tuple(self.parts.iterdir()):
                with contextlib.suppress(FileNotFoundError, BlockingIOError), part.open("rb") as f:
                    if os.fstat(f.fileno()).st_mtime <= before:
                        fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
                        part.unlink()
                        removed += 1
        return removed

    @contextlib.contextmanager
    def _found(self, key: str) -> Iterator[None]:
        """A file that is not there is NotFound; in a directory that is not there, Unavailable."""
        try:
            yield
        except errors.Unavailable as exc:
            if isinstance(exc.__cause__, FileNotFoundError) and self.objects.is_dir():
                raise errors.NotFound(f"There is no object {key}.") from exc
            raise
