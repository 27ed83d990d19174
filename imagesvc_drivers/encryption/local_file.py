"""The file of local keys: one JSON record, replaced whole, shared by all processes.

    {"format": 1, "sha256": <of `keys`>, "keys": {<id>: {"project_id", "name", "state",
     "created_at", "versions": [<base64 of 32 bytes>, ...]}}}

The keys in it are protected by its mode alone, 0600. Beside it lies the lock file of its writers.
"""

import base64
import contextlib
import dataclasses
import datetime
import hashlib
import json
import os
import stat
import threading
import weakref
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from imagesvc.interface import errors
from imagesvc.interface.encryption import KeyInfo, KeyState
from imagesvc_drivers.client import key_wrap, record

_FORMAT = 1
_LOCK_WAIT_S = 30.0
_FULL = (28, 122)  # ENOSPC, EDQUOT


@dataclasses.dataclass(frozen=True, slots=True)
class Key:
    """One key; `versions` are the secret bytes of each, the first one's number is 1."""

    info: KeyInfo
    versions: tuple[bytes, ...] = dataclasses.field(repr=False)


class _Held:
    """Keeps a file that was read, so that none that takes its place has the same inode."""

    def __init__(self, stream: BinaryIO) -> None:
        descriptor = os.dup(stream.fileno())
        self.mark = _mark(os.fstat(descriptor))
        self.release = weakref.finalize(self, os.close, descriptor)


class KeyFile:
    """Safe for many threads and processes: each call sees what all others have written."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()  # guards _seen and _keys
        self._seen: _Held | None = None
        self._keys: Mapping[str, Key] = {}

    def open(self) -> None:
        """Make the file if it is missing, and look whether it can be used. Raises Unavailable."""
        with _translated(self._path):
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not self._path.exists():
                with self._locked():
                    if not self._path.exists():
                        self._write({})
        self.read()

    def close(self) -> None:
        """Forget what was read; safe to repeat."""
        with self._lock:
            self._forget()

    def read(self) -> Mapping[str, Key]:
        """All keys by their ids, as the file has them now. Raises Unavailable."""
        with self._lock, _translated(self._path):
            if self._seen is None or self._seen.mark != _mark(self._path.stat()):
                self._forget()
                with self._path.open("rb") as stream:
                    held = _Held(stream)
                    self._keys = self._parse(_body(stream, self._path))
                self._seen = held
            return self._keys

    @contextlib.contextmanager
    def changing(self) -> Iterator[dict[str, Any]]:
        """Give the record's keys to be changed; durable on a clean exit.

        Raises Unavailable, NoSpace, and Busy if others write for half a minute.
        """
        with _translated(self._path):
            self._path.stat()  # a folder that is gone has no lock either
            with self._locked():
                yield from self._change()

    def _change(self) -> Iterator[dict[str, Any]]:
        with self._path.open("rb") as stream:
            body = _body(stream, self._path)
        before = self._parse(body)
        yield body["keys"]
        if self._parse(body) != before:
            self._write(body["keys"])

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Writers one after another; what a killed one left is removed, since it holds keys."""
        with record.lock(self._path.with_name(f"{self._path.name}.lock"), wait_s=_LOCK_WAIT_S):
            for left in self._path.parent.iterdir():
                if left.name.startswith(f".{self._path.name}."):
                    left.unlink(missing_ok=True)
            yield

    def _write(self, keys: dict[str, Any]) -> None:
        record.write(self._path, {"format": _FORMAT, "sha256": _digest(keys), "keys": keys})

    def _parse(self, body: dict[str, Any]) -> dict[str, Key]:
        try:
            return {key_id: _key(key_id, facts) for key_id, facts in body["keys"].items()}
        except (ValueError, TypeError, KeyError, AttributeError):
            raise _damaged(self._path) from None  # its text might show a key

    def _forget(self) -> None:
        if self._seen is not None:
            self._seen.release()
        self._seen, self._keys = None, {}


def new(project_id: str, name: str) -> dict[str, Any]:
    """The facts of a new key, as they stand in the file."""
    return {
        "project_id": project_id,
        "name": name,
        "state": str(KeyState.ENABLED),
        "created_at": datetime.datetime.now(datetime.UTC).isoformat(),
        "versions": [fresh_version()],
    }


def fresh_version() -> str:
    """A new version of a key, as it stands in the file."""
    return base64.b64encode(key_wrap.fresh_key()).decode("ascii")


def _key(key_id: str, facts: Mapping[str, Any]) -> Key:
    versions = tuple(base64.b64decode(one, validate=True) for one in facts["versions"])
    if not versions or any(len(one) != key_wrap.KEY_BYTES for one in versions):
        raise ValueError
    info = KeyInfo(
        id=key_id,
        project_id=str(facts["project_id"]),
        name=str(facts["name"]),
        state=KeyState(facts["state"]),
        version=len(versions),
        created_at=datetime.datetime.fromisoformat(facts["created_at"]),
    )
    return Key(info, versions)


def _body(stream: BinaryIO, path: Path) -> dict[str, Any]:
    """What the file says, once its mode and its digest are right."""
    if stat.S_IMODE(os.fstat(stream.fileno()).st_mode) & 0o077:
        raise errors.Unavailable(
            "The keys cannot be used just now.",
            f"{path} is open to others than its owner: whoever read it has all keys; chmod 600 it, "
            "and rotate the keys if others could read it",
        )
    try:
        body: dict[str, Any] = json.loads(stream.read())
        number, is_whole = body["format"], body["sha256"] == _digest(body["keys"])
    except (ValueError, TypeError, KeyError, RecursionError):
        raise _damaged(path) from None
    if number != _FORMAT:
        raise errors.Unavailable(
            "The keys cannot be used just now.",
            f"{path} has format {number}, this release knows {_FORMAT}: go on with the release "
            "that wrote it",
        )
    if not is_whole:
        raise _damaged(path)
    return body


def _digest(keys: Mapping[str, Any]) -> str:
    text = json.dumps(keys, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _mark(found: os.stat_result) -> tuple[int, ...]:
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def _damaged(path: Path) -> errors.Unavailable:
    return errors.Unavailable(
        "The keys cannot be used just now.",
        f"{path} is damaged: put back a copy of it; without its keys no encrypted image opens",
    )


@contextlib.contextmanager
def _translated(path: Path) -> Iterator[None]:
    """What the file system says, as errors of drivers."""
    try:
        yield
    except FileNotFoundError as exc:
        raise errors.Unavailable(
            "The keys cannot be used just now.",
            f"{path} is gone: put back a copy of it; without its keys no encrypted image opens",
        ) from exc
    except OSError as exc:
        if exc.errno in _FULL:
            raise errors.NoSpace("The disk of the keys is full.", f"{path}: {exc}") from exc
        raise errors.Unavailable("The keys cannot be used just now.", f"{path}: {exc}") from exc
