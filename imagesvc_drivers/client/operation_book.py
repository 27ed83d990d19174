"""Long work, written down before it begins, so that any process can go on with it.

    operations/<handle>.json   kind, state, what was asked, how far it is
    operations/<handle>.lock   held by whoever works on it
    operations/<handle>.stop   somebody asked to cancel it

A handle is the kind and a hash of the token: the same token is the same work.
"""

import contextlib
import hashlib
import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from imagesvc.interface import errors
from imagesvc.interface.operation import Handle, Progress, ProgressState
from imagesvc_drivers.client import record

_HANDLE = re.compile(r"[a-z]+-[0-9a-f]{40}")
_KEEP_S = 30 * 24 * 3600
_LOCK_S = 30.0
_ATTEMPTS = 3


class OperationBook:
    """Records of long work; safe to share among threads and processes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def handle(self, kind: str, token: str) -> Handle:
        """The handle of the work that `token` stands for."""
        return f"{kind}-{hashlib.sha256(token.encode()).hexdigest()[:40]}"

    def begin(self, handle: Handle, body: dict[str, Any]) -> None:
        """Write new work down. Work that FAILED begins anew; other known work stays as it is,
        but for `sources` of work under way, whose URLs may have run out.
        """
        with record.lock(self._path(handle, "begin"), wait_s=_LOCK_S):
            known = record.read(self._path(handle, "json"))
            if known is None or known["state"] == ProgressState.FAILED:
                self._path(handle, "stop").unlink(missing_ok=True)
                self._path(handle, "sources").unlink(missing_ok=True)
                self.save(handle, body | {"state": ProgressState.RUNNING, "error": ""})
            elif known["state"] == ProgressState.RUNNING and "sources" in body:
                record.write(self._path(handle, "sources"), {"sources": body["sources"]})

    def forestall(self, handle: Handle, body: dict[str, Any]) -> bool:
        """Write work that nobody began down as CANCELLED, which it then stays; False for other."""
        with record.lock(self._path(handle, "begin"), wait_s=_LOCK_S):
            known = record.read(self._path(handle, "json"))
            if known is None:
                self.save(handle, body | {"state": ProgressState.CANCELLED, "forestalled": True})
            return known is None or "forestalled" in known

    def begun(self, handle: Handle) -> bool:
        """Whether the work is known, and to begin it once more would leave it as it is."""
        known = record.read(self._path(handle, "json"))
        return known is not None and known["state"] != ProgressState.FAILED

    def sources(self, handle: Handle) -> list[dict[str, Any]]:
        """The newest sources given for the work."""
        fresh = record.read(self._path(handle, "sources"))
        found: list[dict[str, Any]] = (fresh or self.read(handle))["sources"]
        return found

    def read(self, handle: Handle) -> dict[str, Any]:
        """The record. Raises NotFound."""
        body = record.read(self._path(handle, "json"))
        if body is None:
            raise errors.NotFound("No such work is known.", f"handle {handle}")
        return body

    def save(self, handle: Handle, body: dict[str, Any]) -> None:
        """Replace the record; by whoever holds the work."""
        record.write(self._path(handle, "json"), body)

    def hold(self, handle: Handle) -> contextlib.AbstractContextManager[bool]:
        """Be the one who works on it; yields False if somebody else does."""
        return record.try_lock(self._path(handle, "lock"))

    def ask_stop(self, handle: Handle) -> None:
        """Ask whoever works on it to cancel it."""
        self._path(handle, "stop").touch()
        record.sync_folder(self._folder)

    def stop_asked(self, handle: Handle) -> bool:
        """Whether the work is to be cancelled."""
        return self._path(handle, "stop").exists()

    def running(self) -> list[dict[str, Any]]:
        """Records of the work that has not ended."""
        bodies = [record.read(path) or {} for path in self._folder.glob("*.json")]
        return [body for body in bodies if body.get("state") == ProgressState.RUNNING]

    def drop_old(self) -> None:
        """Forget work that ended a month ago."""
        for path in self._folder.glob("*.json"):
            if time.time() - path.stat().st_mtime > _KEEP_S:
                body = record.read(path)
                if body and body["state"] != ProgressState.RUNNING:
                    for each in self._folder.glob(f"{path.stem}.*"):
                        each.unlink(missing_ok=True)

    def _path(self, handle: Handle, suffix: str) -> Path:
        if not _HANDLE.fullmatch(handle):
            raise errors.NotFound("No such work is known.", f"handle {handle!r}")
        return self._folder / f"{handle}.{suffix}"


class Crew:
    """Background threads, at most one a handle in this process; a kill only pauses the work."""

    def __init__(self) -> None:
        self._threads: dict[Handle, threading.Thread] = {}
        self._lock = threading.Lock()

    def put(self, handle: Handle, work: Callable[[Handle], None]) -> None:
        """Run `work(handle)` in the background unless it runs already."""
        with self._lock:
            running = self._threads.get(handle)
            if running is not None and running.is_alive():
                return
            self._threads = {key: it for key, it in self._threads.items() if it.is_alive()}
            thread = threading.Thread(target=work, args=(handle,), name=handle, daemon=True)
            self._threads[handle] = thread
            thread.start()

    def wait(self, timeout_s: float) -> None:
        """Wait for the threads; what is not ready then goes on in another process."""
        with self._lock:
            threads = list(self._threads.values())
        deadline = time.monotonic() + timeout_s
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))


@contextlib.contextmanager
def recorded(
    book: OperationBook,
    handle: Handle,
    body: dict[str, Any],
    clean: Callable[[dict[str, Any]], None] | None = None,
) -> Iterator[None]:
    """Turn what goes wrong with the work into its FAILED state, after some tries if it may pass.

    What `clean` does is done before: as long as something is left of the work, it has not ended.
    """
    try:
        yield
    except errors.DriverError as exc:
        body["attempts"] = body.get("attempts", 0) + 1
        may_pass = exc.retryable or isinstance(exc, errors.Busy)
        if not (may_pass and body["attempts"] < _ATTEMPTS):
            if clean is not None:
                clean(body)
            body |= {"state": ProgressState.FAILED, "error": exc.user_message}
            body["cause"] = exc.operator_message
        book.save(handle, body)


def progress(body: dict[str, Any]) -> Progress:
    """What `poll` says of a record."""
    return Progress(
        ProgressState(body["state"]),
        done_bytes=body.get("done_bytes", 0),
        total_bytes=body.get("total_bytes"),
        result=body.get("result"),
        error=body.get("error", ""),
    )
