"""Small JSON records that survive a power cut, and the lock files beside them."""

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from imagesvc.interface import errors

_PAUSE_S = 0.02


def read(path: Path) -> dict[str, Any] | None:
    """The record at `path`, or None."""
    try:
        body: dict[str, Any] = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    return body


def write(path: Path, body: dict[str, Any]) -> None:
    """Replace the record in one step; durable when this returns."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{time.monotonic_ns()}")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(fd, "w") as stream:
        json.dump(body, stream)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


@contextlib.contextmanager
def lock(path: Path, *, wait_s: float) -> Iterator[None]:
    """Hold the lock file. Raises Busy after `wait_s`, NotFound if its folder is gone."""
    deadline = time.monotonic() + wait_s
    while True:
        with try_lock(path) as held:
            if held:
                yield
                return
        if time.monotonic() >= deadline:
            raise errors.Busy("Another action on the same thing is under way.", f"lock {path}")
        time.sleep(_PAUSE_S)


@contextlib.contextmanager
def try_lock(path: Path, *, shared: bool = False) -> Iterator[bool]:
    """Hold the lock file if nobody does; yields whether it is held."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except (FileNotFoundError, NotADirectoryError) as exc:
        raise errors.NotFound("It does not exist any more.", f"{path} is gone") from exc
    try:
        yield _take(fd, path, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
    finally:
        os.close(fd)


def _take(fd: int, path: Path, mode: int) -> bool:
    try:
        fcntl.flock(fd, mode | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    try:
        return path.stat().st_ino == os.fstat(fd).st_ino
    except FileNotFoundError:
        return False
