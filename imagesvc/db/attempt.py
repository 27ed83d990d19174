"""Transactions that the engine wants to see once more, as a whole."""

import functools
import random
import sqlite3
import threading
import time
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import sqlalchemy as sa

ATTEMPTS_MAX = 5
PATIENCE_S = 30.0
_PAUSE_S = (0.005, 0.02)
# Serialization failure and deadlock: PostgreSQL has rolled back, and asks for all of it again.
_STATES = frozenset({"40001", "40P01"})

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


class Again(Exception):
    """What a transaction began on is not so any more; a new one sees it from its first statement."""


class _Committed(threading.local):
    count = 0


_committed = _Committed()


def note_commit() -> None:
    """Say that this thread has committed something."""
    _committed.count += 1


def again(act: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Do `act` once more where the engine asks for it: 5 times at most, within 30 s, with jitter.

    For functions that do nothing but one transaction: no bytes read or written, no call of a
    driver. What a thread has committed is never done twice: then the error goes on at once.
    Do not nest them: the attempts would multiply.
    """

    @functools.wraps(act)
    def tried(*args: Arguments.args, **named: Arguments.kwargs) -> Result:
        end = time.monotonic() + PATIENCE_S
        for number in range(1, ATTEMPTS_MAX):
            before = _committed.count
            try:
                return act(*args, **named)
            except Exception as exc:  # who asks for it is told by `asks`
                over = time.monotonic() >= end or _committed.count != before
                if over or not asks(exc):
                    raise
            time.sleep(random.uniform(*_PAUSE_S) * 2**number)  # noqa: S311
        return act(*args, **named)

    return tried


def asks(exc: Exception) -> bool:
    """Whether an error means that nothing was done, and that the same may go through at once.

    On SQLite that is a lock: whoever waited for it as long as the engine does has no time left.
    """
    if isinstance(exc, Again):
        return True
    if not isinstance(exc, sa.exc.DBAPIError):
        return False
    cause: Any = exc.orig
    return getattr(cause, "sqlstate", None) in _STATES or (
        getattr(cause, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY
    )
