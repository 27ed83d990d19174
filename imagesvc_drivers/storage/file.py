"""Image bytes as files in a local folder: the embedded default.

An object lies at `<directory>/object/<key>`. It is written to `<directory>/part/<name>`,
flushed, then linked to its place, so that a name never shows half an object. Zero blocks are
left as holes.
"""

import contextlib
import os
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

from oslo_config import cfg

from imagesvc.interface import base, errors, storage
from imagesvc.interface.storage import ObjectInfo, StorageCapability
from imagesvc_drivers.storage.file_part import FileWriter, LimitedFile, describe, translated

_HEALTH_SLOW_MS = 1000.0


class FileStorage(storage.StorageDriver):
    """Objects as files; many processes may share the folder."""

    contract = base.Version(1, 0)
    OPTS = (
        cfg.StrOpt(
            "directory",
            default="/var/lib/imagesvc/store",
            help="Folder that holds the bytes of images, on one file system with enough room.",
        ),
    )

    def __init__(self, options: object, *, backend_id: str) -> None:
        super().__init__(options, backend_id=backend_id)
        directory = Path(getattr(options, "directory", "") or "")
        if not directory.is_absolute():
            raise errors.InvalidConfiguration("option directory must be an absolute path")
        self._objects = directory / "object"
        self._parts = directory / "part"

    def open(self) -> None:
        """Make the folders. Raises Unavailable."""
        with translated(""):
            for folder in (self._objects, self._parts):
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def info(self) -> base.DriverInfo:
        """Say what this driver is."""
        return base.DriverInfo(
            name="file",
            vendor="imagesvc",
            version="1.0",
            capabilities=frozenset(
                {StorageCapability.LOCAL_FILE, StorageCapability.SERVER_SIDE_COPY}
            ),
        )

    def health(self) -> base.Health:
        """Write, flush and remove a small file."""
        begun = time.perf_counter()
        probe = self._parts / f"health-{uuid.uuid4().hex}"
        try:
            with probe.open("wb") as file:
                file.write(b"imagesvc")
                file.flush()
                os.fsync(file.fileno())
            probe.unlink()
        except OSError as exc:
            return base.Health(base.HealthState.DOWN, f"{exc.strerror} in the store's folder")
        latency_ms = (time.perf_counter() - begun) * 1000
        slow = latency_ms > _HEALTH_SLOW_MS
        state = base.HealthState.DEGRADED if slow else base.HealthState.OK
        return base.Health(state, "slow to flush" if slow else "", latency_ms)

    def _place(self, key: str) -> Path:
        return self._objects / storage.check_key(key)

    def open_write(self, key: str, *, size: int | None = None) -> storage.ObjectWriter:
        """Begin an object. Raises AlreadyExists, NoSpace."""
        place = self._place(key)
        if place.exists():
            raise errors.AlreadyExists(f"The object {key} exists.")
        with translated(key):
            return FileWriter(key, self._parts / uuid.uuid4().hex, place, self._objects)

    def open_read(self, key: str, *, offset: int = 0, length: int | None = None) -> BinaryIO:
        """Read from `offset`; a real file, without `length` an unwrapped one."""
        if offset < 0 or (length is not None and length < 0):
            raise errors.InvalidArgument("offset and length must not be negative.")
        with translated(key):
            file = self._place(key).open("rb", buffering=0)
        if offset > os.fstat(file.fileno()).st_size:
            file.close()
            raise errors.InvalidArgument(f"The object {key} ends before byte {offset}.")
        file.seek(offset)
        if length is None:
            return cast(BinaryIO, file)
        return cast(BinaryIO, LimitedFile(file, length))

    def stat(self, key: str) -> ObjectInfo:
        """Describe a committed object. Raises NotFound."""
        place = self._place(key)
        with translated(key):
            if not place.is_file():
                raise errors.NotFound(f"There is no object {key}.")
            return describe(key, place.stat())

    def delete(self, key: str) -> None:
        """Remove an object; one that is gone is success."""
        place = self._place(key)
        with translated(key):
            place.unlink(missing_ok=True)
        for folder in place.parents:
            if folder == self._objects:
                break
            try:
                folder.rmdir()
            except OSError:  # not empty, or gone: both are fine
                break

    def list(
        self, prefix: str = "", *, after: str | None = None, limit: int = 1000
    ) -> "list[ObjectInfo]":
        """List committed objects in key order."""
        found: list[ObjectInfo] = []
        with translated(prefix):
            keys = sorted(
                key for key in self._keys() if key.startswith(prefix) and key > (after or "")
            )
            for key in keys[:limit]:
                with contextlib.suppress(FileNotFoundError):
                    found.append(describe(key, (self._objects / key).stat()))
        return found

    def _keys(self) -> Iterator[str]:
        for folder, _, names in os.walk(self._objects):
            for name in names:
                yield str((Path(folder) / name).relative_to(self._objects))

    def usage(self) -> storage.Usage:
        """Bytes in use and in all on the file system of the folder."""
        with translated(""):
            facts = os.statvfs(self._objects)
        total = facts.f_blocks * facts.f_frsize
        return storage.Usage(total - facts.f_bfree * facts.f_frsize, total)

    def discard_stale(self, *, older_than_s: float) -> int:
        """Remove parts that no writer has touched for so long."""
        count = 0
        limit = time.time() - older_than_s
        with translated(""):
            for part in self._parts.iterdir():
                with contextlib.suppress(FileNotFoundError):
                    if part.stat().st_mtime < limit:
                        part.unlink()
                        count += 1
        return count

    def copy(self, source_key: str, key: str) -> ObjectInfo:
        """Copy inside the kernel, sharing blocks where the file system can."""
        source = self.open_read(source_key)
        writer = cast(FileWriter, self.open_write(key))
        with source, writer:
            with translated(key):
                writer.copy_from(source.fileno())
            return writer.commit()

    def path(self, key: str) -> Path:
        """Give the file of an object. Raises NotFound."""
        self.stat(key)
        return self._place(key)

