"""The audit trail as JSON lines in a file that is rotated by size (embedded default).

A batch is appended under a lock and then forced to disk. A batch that comes again is told by
the event ids of the file's tail, also by another process and after a kill in the middle.
"""

import contextlib
import dataclasses
import datetime
import fcntl
import json
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from oslo_config import cfg

from imagesvc.interface import audit_sink, base, errors

_TAIL_BYTES = 8 << 20

OPTS = (
    cfg.StrOpt(
        "path",
        default="${service.state_dir}/audit/audit.jsonl",
        help="File of the audit trail, one JSON object a line; its directory is made if missing.",
    ),
    cfg.IntOpt(
        "rotate_bytes",
        default=64 << 20,
        min=4096,
        help="Size in bytes after which the file is renamed to <path>.<time> and a new one is "
        "begun. Low values make many files.",
    ),
    cfg.IntOpt(
        "files_max",
        default=0,
        min=0,
        help="How many renamed files are kept; older ones are removed. 0 keeps all.",
    ),
)


class FileAuditSink(audit_sink.AuditSink):
    """Appends to one file; processes take turns by its lock file."""

    contract = base.Version(1, 0)
    OPTS = OPTS

    def __init__(self, options: Any, *, backend_id: str) -> None:
        super().__init__(options, backend_id=backend_id)
        self._path = Path(options.path)
        if not self._path.is_absolute():
            raise errors.InvalidConfiguration(f"option path is {self._path}, not an absolute path")
        self._rotate_bytes: int = options.rotate_bytes
        self._files_max: int = options.files_max

    def open(self) -> None:
        with _translated():
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with self._locked():
                pass

    def info(self) -> base.DriverInfo:
        return base.DriverInfo(name="file", vendor="imagesvc", version="1")

    def health(self) -> base.Health:
        began = time.monotonic()
        folder = self._path.parent
        if not os.access(folder, os.W_OK | os.X_OK):
            return base.Health(base.HealthState.DOWN, f"cannot write in {folder}")
        return base.Health(base.HealthState.OK, "", (time.monotonic() - began) * 1000)

    def emit(self, events: Sequence[audit_sink.AuditEvent]) -> None:
        with _translated(), self._locked(), open(self._path, "ab+", opener=_private) as file:
            size = _drop_torn_line(file.fileno())
            known = self._known(file.fileno(), size)
            fresh = {item.event_id: item for item in events if item.event_id not in known}
            lines = b"".join(map(_line, fresh.values()))
            try:
                _append(file.fileno(), lines)
            except OSError:
                os.ftruncate(file.fileno(), size)
                raise
            _sync_folder(self._path.parent)
            if size + len(lines) >= self._rotate_bytes:
                self._rotate()

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        lock = self._path.with_name(self._path.name + ".lock")
        with open(lock, "ab", opener=_private) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _rotated(self) -> list[Path]:
        return sorted(self._path.parent.glob(f"{self._path.name}.[0-9]*Z"))

    def _rotate(self) -> None:
        now = datetime.datetime.now(datetime.UTC)
        self._path.rename(self._path.with_name(f"{self._path.name}.{now:%Y%m%dT%H%M%S.%f}Z"))
        if self._files_max:
            for old in self._rotated()[: -self._files_max]:
                old.unlink()
        _sync_folder(self._path.parent)

    def _known(self, descriptor: int, size: int) -> set[str]:
        """Ids in the last bytes of the trail, over the seam of a rotation."""
        known = _ids(descriptor, size)
        rotated = self._rotated()
        if size < _TAIL_BYTES and rotated:
            with rotated[-1].open("rb") as file:
                known |= _ids(file.fileno(), os.fstat(file.fileno()).st_size)
        return known


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, 0o600)


def _line(event: audit_sink.AuditEvent) -> bytes:
    facts = dataclasses.asdict(event) | {"created_at": event.created_at.isoformat()}
    return json.dumps(facts, separators=(",", ":"), default=str).encode("ascii") + b"\n"


def _append(descriptor: int, lines: bytes) -> None:
    view = memoryview(lines)
    while view:
        view = view[os.write(descriptor, view) :]
    os.fsync(descriptor)


def _drop_torn_line(descriptor: int) -> int:
    """Cut what a killed writer left of a line; gives the size."""
    size = os.fstat(descriptor).st_size
    tail = os.pread(descriptor, _TAIL_BYTES, max(0, size - _TAIL_BYTES))
    keep = size - (len(tail) - (tail.rfind(b"\n") + 1))
    if keep != size:
        os.ftruncate(descriptor, keep)
    return keep


def _ids(descriptor: int, size: int) -> set[str]:
    begin = max(0, size - _TAIL_BYTES)
    lines = os.pread(descriptor, size - begin, begin).split(b"\n")
    return {json.loads(line)["event_id"] for line in lines[1 if begin else 0 :] if line}


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        raise errors.Unavailable("The audit sink does not work just now.", str(exc)) from exc
