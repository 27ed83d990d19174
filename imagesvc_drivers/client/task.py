"""Long work of drivers that do it on this machine: written down, done in a thread, gone on with.

Whoever polls sees to it that somebody works; a killed process only pauses the work. A task is
safe to do again from its start, and undone when it fails for good or is cancelled.
"""

import abc
import contextlib
import logging
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

from imagesvc.interface import errors
from imagesvc.interface.operation import Handle, Progress, ProgressState
from imagesvc_drivers.client import operation_book, process

LOG = logging.getLogger(__name__)

TOKEN_CHARS_MAX = 1024
_SAVE_S = 1.0
_WATCH_S = 0.2
_ATTEMPTS = 3
_FULL = (28, 122)  # ENOSPC, EDQUOT


class Stopped(Exception):
    """Somebody asked to cancel the work."""


class Work:
    """What a task works with: what was asked for, and how to tell how far it is."""

    def __init__(
        self, book: operation_book.OperationBook, handle: Handle, body: dict[str, Any]
    ) -> None:
        self.handle = handle
        self.body = body
        self._book = book
        self._saved_at = 0.0

    @property
    def sources(self) -> list[dict[str, Any]]:
        """The newest sources given for the work."""
        return self._book.sources(self.handle)

    def heed(self) -> None:
        """Raise Stopped if the work is to be cancelled."""
        if self._book.stop_asked(self.handle):
            raise Stopped

    @contextlib.contextmanager
    def cancelling(self) -> Iterator[threading.Event]:
        """An event that is set once the work is to be cancelled, for tools that run long."""
        event, over = threading.Event(), threading.Event()

        def watch() -> None:
            while not over.wait(_WATCH_S):
                if self._book.stop_asked(self.handle):
                    event.set()
                    return

        watcher = threading.Thread(target=watch, name=f"{self.handle}-watch", daemon=True)
        watcher.start()
        try:
            yield event
        finally:
            over.set()
            watcher.join()

    def keep(self, **values: Any) -> None:
        """Write down what the next try must know; durable when this returns."""
        self.body |= values
        self._book.save(self.handle, self.body)

    def progress(self, done_bytes: int) -> None:
        """Say how far it is, and heed a cancellation."""
        self.heed()
        if time.monotonic() - self._saved_at > _SAVE_S:
            self._saved_at = time.monotonic()
            self.keep(done_bytes=done_bytes)


class Task(abc.ABC):
    """One kind of long work; `kind` is small letters."""

    kind: ClassVar[str]

    @abc.abstractmethod
    def do(self, work: Work) -> Any:
        """Do all of it, or go on where a killed process stopped; give the result.

        Raises DriverError, OSError, Stopped.
        """

    @abc.abstractmethod
    def undo(self, work: Work) -> None:
        """Take back what `do` made, finished or not."""


class Desk:
    """Starts, follows and cancels the tasks of one backend."""

    def __init__(self, folder: Path, tasks: tuple[Task, ...]) -> None:
        self._book = operation_book.OperationBook(folder)
        self._crew = operation_book.Crew()
        self._tasks: Mapping[str, Task] = {task.kind: task for task in tasks}

    def open(self) -> None:
        """Forget work that ended long ago."""
        self._book.drop_old()

    def close(self, wait_s: float) -> None:
        """Wait a little for the threads; what is not ready goes on in another process."""
        self._crew.wait(wait_s)

    def start(self, kind: str, token: str, body: Mapping[str, Any]) -> Handle:
        """Write the work down and begin. Raises InvalidArgument for a token that is none."""
        if not 1 <= len(token) <= TOKEN_CHARS_MAX:
            raise errors.InvalidArgument(f"A token has 1 to {TOKEN_CHARS_MAX} characters.")
        handle = self._book.handle(kind, token)
        self._book.begin(handle, {"kind": kind, "done_bytes": 0, **body})
        self._crew.put(handle, self._work)
        return handle

    def forestall(self, kinds: tuple[str, ...], token: str) -> Handle | None:
        """The work of these kinds that a token began; None if none did, and then none will."""
        for kind in kinds:
            handle = self._book.handle(kind, token)
            if not self._book.forestall(handle, {"kind": kind}):
                return handle
        return None

    def handle(self, kind: str, token: str) -> Handle:
        """The handle of the work that a token stands for."""
        return self._book.handle(kind, token)

    def state(self, handle: Handle) -> ProgressState | None:
        """The state of a work, None if it was never begun."""
        try:
            return ProgressState(self._book.read(handle)["state"])
        except errors.NotFound:
            return None

    def poll(self, handle: Handle) -> Progress:
        """Go on with the work where nobody does, and say how far it is. Raises NotFound."""
        body = self._book.read(handle)
        if body["state"] == ProgressState.RUNNING:
            self._crew.put(handle, self._work)
        return operation_book.progress(body)

    def cancel(self, handle: Handle) -> None:
        """Ask to stop; `poll` says CANCELLED once the work is undone. Raises NotFound."""
        if self._book.read(handle)["state"] == ProgressState.RUNNING:
            self._book.ask_stop(handle)
            self._crew.put(handle, self._work)

    def _work(self, handle: Handle) -> None:
        with self._book.hold(handle) as held:
            if not held:
                return
            work = Work(self._book, handle, self._book.read(handle))
            if work.body["state"] == ProgressState.RUNNING:
                self._attempt(self._tasks[work.body["kind"]], work)

    def _attempt(self, task: Task, work: Work) -> None:
        try:
            work.heed()
            result = task.do(work)
        except (Stopped, process.Cancelled):
            self._undone(task, work, state=ProgressState.CANCELLED)
        except (errors.DriverError, OSError) as exc:
            self._failed(task, work, _told(exc))
        else:
            done_bytes = work.body.get("total_bytes") or 0
            work.keep(state=ProgressState.DONE, result=result, done_bytes=done_bytes)

    def _failed(self, task: Task, work: Work, exc: errors.DriverError) -> None:
        """What may pass is tried again by the next poll, some times."""
        attempts = work.body.get("attempts", 0) + 1
        if attempts < _ATTEMPTS and (exc.retryable or isinstance(exc, errors.Busy)):
            work.keep(attempts=attempts)
            return
        told = {"error": exc.user_message, "cause": exc.operator_message}
        self._undone(task, work, state=ProgressState.FAILED, **told)

    @staticmethod
    def _undone(task: Task, work: Work, **end: Any) -> None:
        """Undo, then say how it ended; an undo that fails is tried again by the next poll."""
        try:
            task.undo(work)
        except (errors.DriverError, OSError):  # as long as it is not undone, it has not ended
            LOG.exception("work not undone handle=%s", work.handle)
            return
        work.keep(**end)


def _told(exc: errors.DriverError | OSError) -> errors.DriverError:
    if isinstance(exc, errors.DriverError):
        return exc
    if exc.errno in _FULL:
        return errors.NoSpace("The backend's disk is full.", str(exc))
    return errors.DriverError("The disk could not be written.", str(exc))
