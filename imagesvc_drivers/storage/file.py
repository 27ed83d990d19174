"""Image bytes in a local directory (embedded default).

Layout under `directory`: `object/<key>` with `+` for each `/`, so that the keys `a` and `a/b`
do not stand in each other's way, and `.part/<uuid>` for what is being written. Blocks of zeros
are left out as holes. A key appears by link(2), which never replaces.
"""

import contextlib
import fcntl
import heapq
import os
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

from oslo_config import cfg

from imagesvc.interface import base, errors, storage
from imagesvc_drivers.storage import file_object, file_writer

_NEARLY_FULL = 0.05

OPTS = (
    cfg.StrOpt(
        "directory",
        default="${service.state_dir}/image",
        help="Directory of the image bytes, made if missing. All processes of the service need "
        "the same one; two backends must not share it.",
    ),
)


class FileStorage(storage.StorageDriver):
    """Objects as sparse files in one directory."""

    contract = base.Version(1, 0)
    OPTS = OPTS

    def __init__(self, options: Any, *, backend_id: str) -> None:
        super().__init__(options, backend_id=backend_id)
        root = Path(options.directory)
        if not root.is_absolute():
            raise errors.InvalidConfiguration(f"option directory is {root}, not an absolute path")
        self._objects = root / "object"
        self._parts = root / ".part"

    def open(self) -> None:
        with file_object.translated("cannot make the directory"):
            for folder in (self._objects, self._parts):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def info(self) -> base.DriverInfo:
        return base.DriverInfo(
            name="file",
            vendor="imagesvc",
            version="1",
            capabilities=frozenset(
                (
                    storage.StorageCapability.LOCAL_FILE,
                    storage.StorageCapability.SERVER_SIDE_COPY,
                )
            ),
        )

    def health(self) -> base.Health:
        began = time.monotonic()
        probe = self._parts / f"health-{uuid.uuid4().hex}"
        try:
            probe.touch(mode=0o600)
            probe.unlink()
            usage = self.usage()
        except (OSError, errors.DriverError) as exc:
            return base.Health(base.HealthState.DOWN, str(exc))
        took = (time.monotonic() - began) * 1000
        free = 1 - usage.used_bytes / max(1, usage.total_bytes or 1)
        if free < _NEARLY_FULL:
            return base.Health(base.HealthState.DEGRADED, f"{free:.1%} of the space is free", took)
        return base.Health(base.HealthState.OK, "", took)

    def open_write(self, key: str, *, size: int | None = None) -> file_writer.FileWriter:
        target = self.path_of(key)
        with file_object.translated(f"cannot begin {key}"):
            if target.exists():
                raise errors.AlreadyExists(f"The object {key} exists.")
            return file_writer.FileWriter(key, self._parts / uuid.uuid4().hex, target)

    def open_read(self, key: str, *, offset: int = 0, length: int | None = None) -> BinaryIO:
        if offset < 0 or (length is not None and length < 0):
            raise errors.InvalidArgument("Offset and length must not be negative.")
        with self._found(key), file_object.translated(f"cannot read {key}"):
            file = self.path_of(key).open("rb", buffering=0)
            size = os.fstat(file.fileno()).st_size
            if offset > size:
                file.close()
                raise errors.InvalidArgument(f"Offset {offset} is past the end, {size}.")
            file.seek(offset)
        return cast(BinaryIO, file if length is None else file_object.BoundedFile(file, length))

    def stat(self, key: str) -> storage.ObjectInfo:
        with self._found(key), file_object.translated(f"cannot stat {key}"):
            return file_object.describe(key, self.path_of(key).stat())

    def delete(self, key: str) -> None:
        path = self.path_of(key)
        with file_object.translated(f"cannot delete {key}"):
            path.unlink(missing_ok=True)
            file_object.sync_folder(path.parent)

    def list(
        self, prefix: str = "", *, after: str | None = None, limit: int = 1000
    ) -> "list[storage.ObjectInfo]":
        with file_object.translated("cannot list"), os.scandir(self._objects) as entries:
            names = (entry.name.replace("+", "/") for entry in entries)
            keys = heapq.nsmallest(
                limit,
                (key for key in names if key.startswith(prefix) and key > (after or "")),
            )
        found = []
        for key in keys:
            with contextlib.suppress(errors.NotFound):  # deleted since the directory was read
                found.append(self.stat(key))
        return found

    def usage(self) -> storage.Usage:
        with file_object.translated("cannot ask for the space"):
            space = os.statvfs(self._objects)
        used = (space.f_blocks - space.f_bfree) * space.f_frsize
        return storage.Usage(used, used + space.f_bavail * space.f_frsize)

    def discard_stale(self, *, older_than_s: float) -> int:
        """Remove parts whose writer is dead; a living one holds a lock on its part."""
        before = time.time() - older_than_s
        removed = 0
        with file_object.translated("cannot discard"):
            for part in tuple(self._parts.iterdir()):
                with contextlib.suppress(FileNotFoundError, BlockingIOError), part.open("rb") as f:
                    if os.fstat(f.fileno()).st_mtime <= before:
                        fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
                        part.unlink()
                        removed += 1
        return removed

    def copy(self, source_key: str, key: str) -> storage.ObjectInfo:
        writer = self.open_write(key)
        with writer, self.open_read(source_key) as source:
            writer.fill(source.fileno())
            return writer.commit()

    def path(self, key: str) -> Path:
        self.stat(key)
        return self.path_of(key)

    def path_of(self, key: str) -> Path:
        """Where the object of that key lies or would lie. Raises InvalidArgument."""
        return self._objects / storage.check_key(key).replace("/", "+")

    @contextlib.contextmanager
    def _found(self, key: str) -> Iterator[None]:
        try:
            yield
        except errors.Unavailable as exc:
            # A folder that is not there, as that of a disk which is not mounted, lost no object.
            if isinstance(exc.__cause__, FileNotFoundError) and self._objects.is_dir():
                raise errors.NotFound(f"There is no object {key}.") from exc
            raise
