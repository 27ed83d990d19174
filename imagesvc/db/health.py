"""Whether the database answers, asked in a thread of its own so that a silent one holds nobody."""

import threading
import time

from imagesvc.db import engine

TIMEOUT_S = 2.0
FRESH_S = 1.0  # what anybody may ask without a token costs at most one statement in this time


class DatabaseProbe:
    """Asks one statement of the database; safe to share among threads."""

    def __init__(
        self, database: engine.Database, *, timeout_s: float = TIMEOUT_S, fresh_s: float = FRESH_S
    ) -> None:
        self._database = database
        self._timeout_s = timeout_s
        self._fresh_s = fresh_s
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._asked = float("-inf")
        self._cause = ""

    def cause(self) -> str:
        """Why the database cannot be worked with, for operators; empty if it can.

        The answer is at most `fresh_s` old and comes within `timeout_s`. While a statement
        hangs no second one is sent.
        """
        with self._lock:
            if time.monotonic() - self._asked < self._fresh_s:
                return self._cause
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._ask, name="health-db", daemon=True)
                self._thread.start()
            self._thread.join(self._timeout_s)
            if self._thread.is_alive():
                self._cause = f"no answer within {self._timeout_s:g} s"
            self._asked = time.monotonic()
            return self._cause

    def _ask(self) -> None:
        try:
            engine.check_schema(self._database)
        except Exception as exc:  # whatever it is, the database cannot be worked with
            self._cause = f"{type(exc).__name__}: {exc}"
        else:
            self._cause = ""
