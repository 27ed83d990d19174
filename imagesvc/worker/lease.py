"""A job's lease while a worker holds it: renewed by a thread, asked by the steps."""

import logging
import threading
import time
from types import TracebackType

from imagesvc import errors
from imagesvc.db import job as job_rows
from imagesvc.db.engine import Database
from imagesvc.domain.job import Job
from imagesvc.worker.flow import Released

LOG = logging.getLogger(__name__)


class Lease:
    """Context manager; the flags are set by its thread and its holder, and only ever to true.

    Once `stop` is set the holder has `drain_s` seconds left.
    """

    def __init__(
        self, database: Database, job: Job, lease_s: float, stop: threading.Event, drain_s: float
    ) -> None:
        self._database = database
        self._job = job
        self._lease_s = lease_s
        self._stop = stop
        self._drain_s = drain_s
        self._stop_seen: float | None = None
        self._ended = threading.Event()
        self.lost = False
        self.cancelled = job.cancel_requested
        self._thread = threading.Thread(target=self._beat, name=f"lease-{job.id}", daemon=True)

    def __enter__(self) -> "Lease":
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join()

    def check(self, *, final: bool = False) -> None:
        """Raise LeaseLost, Released, or Cancelled unless the job is past return."""
        if self.lost:
            raise errors.LeaseLost(job_id=self._job.id)
        if self._stop.is_set():
            now = time.monotonic()
            self._stop_seen = self._stop_seen or now
            if now - self._stop_seen >= self._drain_s:
                raise Released
        if self.cancelled and not final:
            raise errors.Cancelled(job_id=self._job.id)

    def _beat(self) -> None:
        while not self._ended.wait(self._lease_s / 3):
            try:
                with self._database.write() as conn:
                    asked = job_rows.renew(conn, self._job, self._lease_s)
            except errors.LeaseLost:
                self.lost = not self._ended.is_set()
                return
            except Exception:  # the database is away: the next beat may still be in time
                LOG.exception("lease not renewed job_id=%s", self._job.id)
                continue
            self.cancelled = self.cancelled or asked
