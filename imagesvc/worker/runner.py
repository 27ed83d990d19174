"""Claims jobs and runs their steps, forward or back, under a lease."""

import logging
import random
import threading
from datetime import timedelta

from imagesvc import errors
from imagesvc import service as services
from imagesvc.crashpoint import crashpoint
from imagesvc.db import job as job_rows
from imagesvc.db import metadata
from imagesvc.interface.errors import DriverError
from imagesvc.worker.flow import Wait
from imagesvc.worker.flow_table import FLOWS
from imagesvc.worker.lease import Lease
from imagesvc.worker.run import Run

LOG = logging.getLogger(__name__)
BACKOFF_MAX_S = 600.0
CANCELLED = "cancelled"
DEAD = "dead"
FAILED = "failed"


class Runner:
    """One thread of a worker; `worker_id` is its own among all workers."""

    def __init__(self, service: services.Service, worker_id: str) -> None:
        self._service = service
        self._worker_id = worker_id
        self._conf = service.conf.worker

    def run_forever(self, stop: threading.Event) -> None:
        """Work until `stop` is set; the job at hand is given back at its next step."""
        while not stop.is_set():
            try:
                worked = self.run_once(stop)
            except Exception:  # the database may be away; whatever it is, the worker lives
                LOG.exception("claim failed worker=%s", self._worker_id)
                worked = False
            if not worked:
                stop.wait(self._conf.poll_interval_s)

    def run_once(self, stop: threading.Event | None = None) -> bool:
        """Claim a job that is due and take it as far as it goes; False if there is none."""
        with self._service.database.write() as conn:
            job = job_rows.claim(
                conn,
                self._worker_id,
                self._conf.lease_s,
                metadata.now(),
                self._conf.project_cap,
            )
        if job is None:
            return False
        crashpoint("job.claimed")
        LOG.info("job claimed job_id=%s type=%s step=%s", job.id, job.type, job.step)
        with Lease(self._service.database, job, self._conf.lease_s) as lease:
            try:
                self._work(Run(self._service, job, FLOWS[job.type], lease), stop)
            except errors.LeaseLost:
                LOG.warning("job lost to another worker job_id=%s", job.id)
        return True

    def _work(self, run: Run, stop: threading.Event | None) -> None:
        job = run.job
        try:
            run.prepare()
            if job.unwinding:
                self._unwind(run)
            elif job.attempt >= job.attempts_max:
                self._give_up(run, DEAD, "Its worker died on it too often.", "")
            elif self._forward(run, stop):
                run.finish()
                crashpoint("job.finished")
                LOG.info("job done job_id=%s", job.id)
        except errors.LeaseLost:
            raise
        except errors.Cancelled:
            self._give_up(run, CANCELLED, "Cancelled.", "")
        except DriverError as exc:
            self._failed(run, exc, exc.user_message, exc.operator_message, exc.retryable)
        except errors.ImagesvcError as exc:
            self._failed(run, exc, exc.text, "", retryable=False)
        except Exception as exc:
            LOG.exception("step failed job_id=%s", job.id)
            text = "An internal error happened; the operator's log has it."
            self._failed(run, exc, text, repr(exc), retryable=False)

    def _forward(self, run: Run, stop: threading.Event | None) -> bool:
        """Run steps until the last; False if the job was let go of before."""
        while run.step is not None:
            if stop is not None and stop.is_set():
                run.park(metadata.now())
                return False
            answer = run.forward()
            if isinstance(answer, Wait):
                run.park(metadata.now() + timedelta(seconds=answer.seconds))
                return False
            crashpoint("job.advanced")
        return True

    def _failed(
        self, run: Run, cause: Exception, text: str, operator_text: str, retryable: bool
    ) -> None:
        attempt = run.attempt + 1
        LOG.warning(
            "step failed job_id=%s attempt=%s retryable=%s cause=%s",
            run.job.id, attempt, retryable, operator_text or text,
        )  # fmt: skip
        if run.unwinding or (retryable and attempt < run.job.attempts_max):
            # An undo is tried for ever: what it would leave behind is somebody's bytes or bill.
            pause = min(2.0**attempt, BACKOFF_MAX_S) * random.uniform(0.5, 1.0)  # noqa: S311
            run.park(metadata.now() + timedelta(seconds=pause), attempt=attempt)
            return
        self._give_up(run, FAILED, text, operator_text or type(cause).__name__)

    def _give_up(self, run: Run, code: str, text: str, operator_text: str) -> None:
        run.begin_unwinding(code, text, operator_text)
        crashpoint("job.unwinding")
        try:
            self._unwind(run)
        except DriverError as exc:
            self._failed(run, exc, text, exc.operator_message, retryable=True)

    def _unwind(self, run: Run) -> None:
        run.backward()
        run.end_unwound(run.error_code or FAILED)
        crashpoint("job.ended")
        LOG.info("job ended job_id=%s code=%s", run.job.id, run.error_code)

