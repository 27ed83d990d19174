"""Metrics that are true of the whole installation, whichever process is asked."""

import dataclasses
import threading
import time
from collections.abc import Callable, Mapping, Sequence

from imagesvc.backend.backend import BackendStatus
from imagesvc.backend.registry import Backends
from imagesvc.db import metric
from imagesvc.db.engine import Database
from imagesvc.db.health import DatabaseProbe

FRESH_S = 5.0


@dataclasses.dataclass(frozen=True, slots=True)
class Snapshot:
    """`counts` is None while the database does not answer; `late` are families of the catalog."""

    counts: metric.Counts | None
    backends: Sequence[BackendStatus]
    late: Sequence[str] = ()


class MetricManager:
    """Counts rows at most every `FRESH_S`, however often it is asked."""

    def __init__(
        self,
        database: Database,
        probe: DatabaseProbe,
        backends: Backends,
        late: Callable[[], Mapping[str, str]] = dict,
    ) -> None:
        self._database = database
        self._probe = probe
        self._backends = backends
        self._late = late
        self._overdue: tuple[str, ...] = ()
        self._lock = threading.Lock()
        self._counted = float("-inf")
        self._counts: metric.Counts | None = None

    def snapshot(self) -> Snapshot:
        """What is so now; for scrapers, without a caller. A silent database costs two seconds."""
        with self._lock:
            if self._probe.cause():
                return Snapshot(None, self._backends.describe())
            if time.monotonic() - self._counted >= FRESH_S:
                with self._database.read() as conn:
                    self._counts = metric.count(conn)
                self._overdue = tuple(self._late())
                self._counted = time.monotonic()
            return Snapshot(self._counts, self._backends.describe(), self._overdue)
