"""Claims jobs and runs their steps, forward or back, under a lease."""

import logging
import random
import threading
from collections.abc import Callable, Mapping
from datetime import timedelta

from imagesvc import errors
from imagesvc import service as services
from imagesvc.crashpoint import crashpoint
from imagesvc.db import job as job_rows
from imagesvc.db import metadata
from imagesvc.domain.job import Job
from imagesvc.interface.errors import DriverError
from imagesvc.manager.catalog_option import LANE
from imagesvc.worker import failure, stranger
from imagesvc.worker.flow import SPARE_ATTEMPTS, Flow, Released, Wait
from imagesvc.worker.flow_table import FLOWS
from imagesvc.worker.lease import Lease
from imagesvc.worker.run import Run

LOG = logging.getLogger(__name__)
BACKOFF_MAX_S = 600.0
UNDO_PAUSE_S = 30.0


class Runner:
    """One thread of a worker; `worker_id` is its own among all workers.

    `pause_max_s` is the longest pause before a step or an undo is tried again. Of runners that
    share a `turn` one alone asks for jobs at a time: an idle worker asks once, not once a thread.
    """

    def __init__(
        self,
        service: services.Service,
        worker_id: str,
        *,
        flows: Mapping[str, Flow] = FLOWS,
        pause_max_s: float = BACKOFF_MAX_S,
        turn: "threading.Lock | None" = None,
    ) -> None:
        self._service = service
        self._worker_id = worker_id
        self._conf = service.conf.worker
        self._flows = flows
        self._known = stranger.known(flows)
        self._run: Run | None = None
        self._pause_max_s = pause_max_s
        self._turn = turn or threading.Lock()
        self._stop = threading.Event()

    def run_forever(self, stop: threading.Event) -> None:
        """Work until `stop` is set; the job at hand is given back at its next step, or within
        `drain_s` seconds in the middle of one."""
        self._stop = stop
        while not stop.is_set():
            try:
                job = self._await()
                if job is not None:
                    self._take(job)
            except Exception:  # the database may be away; whatever it is, the worker lives
                LOG.exception("job not taken on worker=%s", self._worker_id)
                stop.wait(self._conf.poll_interval_s)

    def run_once(self) -> bool:
        """Claim a job that is due and take it as far as it goes; False if there is none."""
        job = self._claim()
        if job is not None:
            self._take(job)
        return job is not None

    def _await(self) -> Job | None:
        """The next job that is due; None once the worker stops."""
        with self._turn:
            while not self._stop.is_set():
                job = self._claim()
                if job is not None:
                    return job
                self._stop.wait(self._conf.poll_interval_s)
        return None

    def _claim(self) -> Job | None:
        conf = self._conf
        with self._service.database.write() as conn:
            return job_rows.claim(
                conn, self._worker_id, conf.lease_s, metadata.now(), conf.project_cap, self._known,
                conf.region_copies, {LANE: self._service.conf.catalog.concurrency},
            )  # fmt: skip

    def _take(self, job: Job) -> None:
        conf = self._conf
        crashpoint("job.claimed")
        LOG.info("job claimed job_id=%s type=%s step=%s", job.id, job.type, job.step)
        with Lease(self._service.database, job, conf.lease_s, self._stop, conf.drain_s) as lease:
            run = self._run = Run(self._service, job, self._flows[job.type], lease)
            try:
                self._work(run)
            except errors.LeaseLost:
                LOG.warning("job lost to another worker job_id=%s", job.id)
            finally:
                self._run = None

    def give_back(self) -> None:
        """Let go of the job at hand while its step still runs; what that writes later is refused.

        For the thread that ends the worker: a step that hangs must not keep the job for a lease.
        """
        run = self._run
        if run is None:
            return
        try:
            self._park(run, 0)
        except errors.LeaseLost:
            return  # it ended, or another has it
        LOG.warning("job given back with its step running job_id=%s", run.job.id)

    def _work(self, run: Run) -> None:
        if not run.unwinding:
            cause = self._caught(run, lambda: self._forward(run))
            if cause is not None:
                self._judge(run, cause)
        if run.unwinding:
            cause = self._caught(run, lambda: self._unwind(run))
            if cause is not None:
                # An undo is tried for ever: what it would leave behind is somebody's bytes or bill.
                self._park(run, UNDO_PAUSE_S)

    def _caught(self, run: Run, work: Callable[[], None]) -> failure.Failure | None:
        try:
            work()
        except errors.LeaseLost:
            raise
        except Released:
            LOG.info("job given back job_id=%s", run.job.id)
            self._park(run, 0)
        except Exception as exc:
            cause = failure.of(exc)
            LOG.warning(
                "step failed job_id=%s attempt=%s retryable=%s cause=%s",
                run.job.id, run.attempt, cause.retryable, cause.operator_text or cause.text,
                exc_info=not isinstance(exc, errors.ImagesvcError | DriverError),
            )  # fmt: skip
            return cause
        return None

    def _forward(self, run: Run) -> None:
        """Run steps until the last, or until one waits."""
        run.prepare()
        if run.step is not None and run.attempt >= run.job.attempts_max:
            raise failure.WorkerDied(attempts=run.attempt)
        while run.step is not None:
            if self._stop.is_set():
                raise Released
            answer = run.forward()
            if isinstance(answer, Wait):
                self._park(run, answer.seconds, cause=failure.waiting(answer))
                return
            crashpoint("job.advanced")
        run.finish()
        crashpoint("job.finished")
        LOG.info("job done job_id=%s", run.job.id)

    def _judge(self, run: Run, cause: failure.Failure) -> None:
        """Try the step again later, leave it behind, or turn the job round."""
        attempt = run.attempt + 1
        patient = run.step_age_s < self._conf.retry_s
        if cause.retryable and (patient or attempt < run.job.attempts_max):
            if patient:  # some are left for workers that die: to wait is no fault of the job
                attempt = min(attempt, run.job.attempts_max - SPARE_ATTEMPTS)
            pause_s = 2.0**attempt * random.uniform(0.5, 1.0)  # noqa: S311
            self._park(run, pause_s, attempt, cause)
        elif run.past_return:
            run.leave_behind(cause)
            self._park(run, UNDO_PAUSE_S)
        else:
            run.begin_unwinding(cause)
            crashpoint("job.unwinding")

    def _unwind(self, run: Run) -> None:
        run.prepare()
        answer = run.backward()
        if isinstance(answer, Wait):
            self._park(run, answer.seconds, cause=failure.waiting(answer))
            return
        run.end_unwound()
        crashpoint("job.ended")
        LOG.info("job ended job_id=%s code=%s", run.job.id, run.error_code)

    def _park(
        self,
        run: Run,
        pause_s: float,
        attempt: int | None = None,
        cause: failure.Failure | None = None,
    ) -> None:
        until = metadata.now() + timedelta(seconds=min(pause_s, self._pause_max_s))
        run.park(until, attempt=attempt, cause=cause)
        crashpoint("job.parked")
