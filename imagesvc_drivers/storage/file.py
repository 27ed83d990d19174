"""Image bytes in a local directory (embedded default), or in two that hold the same.

Layout under `directory`: `object/<key>` with `+` for each `/`, so that the keys `a` and `a/b`
do not stand in each other's way, and `.part/<uuid>` for what is being written. Blocks of zeros
are left out as holes. A key appears by link(2), which never replaces.
"""

import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from oslo_config import cfg

from imagesvc.interface import base, errors, storage
from imagesvc_drivers.storage import file_mirror, file_object
from imagesvc_drivers.storage.file_folder import FileFolder
from imagesvc_drivers.storage.file_writer import FileWriter

_NEARLY_FULL = 0.05
Found = TypeVar("Found")

OPTS = (
    cfg.StrOpt(
        "directory",
        default="${service.state_dir}/image",
        help="Directory of the image bytes, made if missing. All processes of the service need "
        "the same one; two backends must not share it.",
    ),
    cfg.StrOpt(
        "mirror_directory",
        default="",
        help="Second directory that holds the same bytes, on another disk; empty: none. Every "
        "write goes to both and is there when both are flushed, so it takes the time of the "
        "slower one; reads go to the second where the first fails.",
    ),
)


class FileStorage(storage.StorageDriver):
    """Objects as sparse files in one directory, or in each of two."""

    contract = base.Version(1, 3)
    OPTS = OPTS

    def __init__(self, options: Any, *, backend_id: str) -> None:
        super().__init__(options, backend_id=backend_id)
        names = ("directory", "mirror_directory")
        roots = {name: Path(value) for name in names if (value := getattr(options, name))}
        for name, root in roots.items():
            if not root.is_absolute():
                raise errors.InvalidConfiguration(f"option {name} is {root}, not an absolute path")
        first, *others = roots.values()
        if any(first == one or first in one.parents or one in first.parents for one in others):
            raise errors.InvalidConfiguration(
                "option mirror_directory must be apart from directory"
            )
        self._folders = tuple(FileFolder(root) for root in roots.values())
        self._mirror = file_mirror.Mirror(self._folders) if others else None
        self._parts = self._folders[0].parts

    def open(self) -> None:
        for folder in self._folders:
            folder.open()

    def info(self) -> base.DriverInfo:
        capabilities = {
            storage.StorageCapability.LOCAL_FILE,
            storage.StorageCapability.SERVER_SIDE_COPY,
            storage.StorageCapability.RESUMABLE_WRITE,
        }
        if self._mirror:
            capabilities.add(storage.StorageCapability.COPIES)
        return base.DriverInfo(
            name="file", vendor="imagesvc", version="1", capabilities=frozenset(capabilities)
        )

    def health(self) -> base.Health:
        began = time.monotonic()
        broken = []
        for folder in self._folders:
            try:
                folder.probe()
            except errors.DriverError as exc:
                broken.append(exc.operator_message)
        if len(broken) == len(self._folders):
            return base.Health(base.HealthState.DOWN, "; ".join(broken))
        took = (time.monotonic() - began) * 1000
        if broken:
            detail = f"nothing can be written, reads go on: {broken[0]}"
            return base.Health(base.HealthState.DEGRADED, detail, took)
        usage = self.usage()
        free = 1 - usage.used_bytes / max(1, usage.total_bytes or 1)
        if free < _NEARLY_FULL:
            return base.Health(base.HealthState.DEGRADED, f"{free:.1%} of the space is free", took)
        return base.Health(base.HealthState.OK, "", took)

    def open_write(self, key: str, *, size: int | None = None) -> storage.ObjectWriter:
        return self._open_write(key)

    def _open_write(self, key: str) -> FileWriter | file_mirror.MirrorWriter:
        targets = [folder.path_of(key) for folder in self._folders]
        with file_object.translated(f"cannot begin {key}"):
            if any(target.exists() for target in targets):
                raise errors.AlreadyExists(f"The object {key} exists.")
            with contextlib.ExitStack() as stack:
                writers = [
                    stack.enter_context(FileWriter(key, folder.new_part(), target))
                    for folder, target in zip(self._folders, targets, strict=True)
                ]
                stack.pop_all()
        return file_mirror.MirrorWriter(key, *writers) if self._mirror else writers[0]

    def resume_write(self, key: str, upload_id: str) -> storage.ObjectWriter:
        boot_id, *names = upload_id.split(":")
        targets = [folder.path_of(key) for folder in self._folders]
        is_over = boot_id != file_object.boot_id() or any(target.exists() for target in targets)
        if not boot_id or is_over or len(names) != len(targets):
            raise errors.NotFound(f"There is no such write of {key}.")
        with contextlib.ExitStack() as stack:
            writers = [
                stack.enter_context(FileWriter(key, folder.part_of(name), target, resumes=True))
                for folder, target, name in zip(self._folders, targets, names, strict=True)
            ]
            stack.pop_all()
        return file_mirror.MirrorWriter(key, *writers) if self._mirror else writers[0]

    def open_read(self, key: str, *, offset: int = 0, length: int | None = None) -> BinaryIO:
        _require_range(offset, length)
        return self._first(lambda folder: folder.open_read(key, offset, length))

    def stat(self, key: str) -> storage.ObjectInfo:
        found = self._first(lambda folder: folder.stat(key))
        return self._counted(found) if self._mirror else found

    def delete(self, key: str) -> None:
        # The first again after the second: `restore` may have copied back meanwhile.
        failure: errors.DriverError | None = None
        for folder in (*self._folders, *self._folders[:-1]):
            try:
                folder.remove(key)
                folder.sync()
            except errors.InvalidArgument:
                raise
            except errors.DriverError as exc:
                failure = exc
        if failure is not None:
            raise failure

    def list(
        self, prefix: str = "", *, after: str | None = None, limit: int = 1000
    ) -> "list[storage.ObjectInfo]":
        keys: set[str] = set()
        for folder in self._folders:
            keys |= set(folder.first_keys(prefix, after or "", limit))
        found = []
        for key in sorted(keys)[:limit]:
            with contextlib.suppress(errors.NotFound):  # deleted since the directory was read
                found.append(self.stat(key))
        return found

    def usage(self) -> storage.Usage:
        found = [folder.usage() for folder in self._folders]
        return min(found, key=lambda one: (one.total_bytes or 0) - one.used_bytes)

    def discard_stale(self, *, older_than_s: float) -> int:
        count = sum(folder.discard_parts(older_than_s) for folder in self._folders)
        return count + (self._mirror.restore(older_than_s) if self._mirror else 0)

    def copy(self, source_key: str, key: str) -> storage.ObjectInfo:
        writer = self._open_write(key)
        with writer, self.open_read(source_key) as source:
            writer.fill(source.fileno())
            return writer.commit()

    def path(self, key: str) -> Path:
        def present(folder: FileFolder) -> Path:
            folder.stat(key)
            return folder.path_of(key)

        return self._first(present)

    def path_of(self, key: str) -> Path:
        """Where the object of that key lies or would lie first. Raises InvalidArgument."""
        return self._folders[0].path_of(key)

    def copies(self) -> int:
        return len(self._folders)

    def open_copy(
        self, key: str, number: int, *, offset: int = 0, length: int | None = None
    ) -> BinaryIO:
        if not self._mirror:
            return super().open_copy(key, number, offset=offset, length=length)
        _require_range(offset, length)
        if not 0 <= number < len(self._folders):
            raise errors.InvalidArgument(f"There is no copy {number}.")
        return self._folders[number].open_read(key, offset, length)

    def warnings(self) -> tuple[str, ...]:
        with file_object.translated("cannot look at the directories"):
            devices = {folder.objects.stat().st_dev for folder in self._folders}
        if len(devices) == len(self._folders):
            return ()
        return (
            "directory and mirror_directory are on one device and are lost together: "
            "put the mirror on another disk",
        )

    def _first(self, act: Callable[[FileFolder], Found]) -> Found:
        """What the first directory that can gives; NotFound only if that is so in each."""
        failures: list[errors.DriverError] = []
        for folder in self._folders:
            try:
                return act(folder)
            except errors.InvalidArgument:
                raise
            except errors.DriverError as exc:
                failures.append(exc)
        raise next((one for one in failures if not isinstance(one, errors.NotFound)), failures[0])

    def _counted(self, found: storage.ObjectInfo) -> storage.ObjectInfo:
        count = 0
        for folder in self._folders:
            with contextlib.suppress(errors.DriverError):  # that copy is not there
                count += folder.stat(found.key).size_bytes == found.size_bytes
        return storage.ObjectInfo(
            found.key, found.size_bytes, found.modified_at, found.etag, copies=count
        )


def _require_range(offset: int, length: int | None) -> None:
    if offset < 0 or (length is not None and length < 0):
        raise errors.InvalidArgument("Offset and length must not be negative.")
