"""One claimed job: its steps' rows, each write fenced by the lease."""

import dataclasses
import datetime
import logging
import time
from typing import Any

from imagesvc import service as services
from imagesvc.db import job as job_rows
from imagesvc.db import metadata
from imagesvc.domain.job import Job, JobStep
from imagesvc.domain.state import StepState
from imagesvc.manager import job_failure
from imagesvc.manager.operation import FAILURE, SUCCESS
from imagesvc.manager.operation import Step as AuditStep
from imagesvc.worker import failure
from imagesvc.worker.flow import Flow, Memo, Step, StepContext, Wait
from imagesvc.worker.lease import Lease

LOG = logging.getLogger(__name__)
PROGRESS_S = 1.0
_TOUCHED = frozenset({StepState.RUNNING, StepState.DONE})
_REQUEST = "request_token"


class Run:
    """What the runner does with a job, as verbs."""

    def __init__(self, service: services.Service, job: Job, flow: Flow, lease: Lease) -> None:
        self._service = service
        self.job = job
        # A job that an earlier release began goes on with the steps that it had then.
        begun = {row.name for row in job.steps}
        self._flow = tuple(step for step in flow if step.name in begun) if begun else flow
        self._lease = lease
        self._rows = {row.n: row for row in job.steps}
        self._n = job.step
        self.attempt = job.attempt
        self.unwinding = job.unwinding
        self.error_code = job.error_code
        self._error_text = job.error_text or ""

    @property
    def step(self) -> Step | None:
        """The step to run; None after the last."""
        return self._flow[self._n] if self._n < len(self._flow) else None

    @property
    def step_age_s(self) -> float:
        """Seconds since the present step was first begun."""
        row = self._rows.get(self._n)
        begun = row.started_at if row is not None else None
        return (metadata.now() - begun).total_seconds() if begun else 0.0

    def prepare(self) -> None:
        """Write the rows of the steps at the first claim, each with the token that drivers get."""
        with self._service.database.write() as conn:
            for n, step in enumerate(self._flow):
                if n not in self._rows:
                    state = StepState.PENDING if step.applies(self.job) else StepState.SKIPPED
                    token = f"{self.job.id}:{step.name}:{self.job.lease_token}"
                    self._rows[n] = JobStep(
                        self.job.id, n, step.name, state, memo={_REQUEST: token}
                    )
                    job_rows.save_step(conn, self.job, self._rows[n])

    def forward(self) -> Wait | None:
        """Run the present step; if it ends, go to the next. Raises what the step raises."""
        n, step, row = self._n, self._flow[self._n], self._rows[self._n]
        if row.state not in (StepState.SKIPPED, StepState.DONE):
            self._lease.check(final=self.past_return)
            self._save(n, state=StepState.RUNNING, started_at=row.started_at or metadata.now())
            answer = step.run(self._context(n))
            if isinstance(answer, Wait):
                return answer
        with self._service.database.write() as conn:
            if row.state != StepState.SKIPPED:
                self._complete(conn, n)
            asked = job_rows.advance(conn, self.job, n + 1)
        self._n, self.attempt = n + 1, 0
        if asked:
            self._lease.cancelled = True
        return None

    def leave_behind(self, cause: failure.Failure) -> None:
        """Give the present step up, as the job is past return, and go to the next."""
        if self.step is None:
            return
        LOG.error("step left behind job_id=%s: %s", self.job.id, cause.operator_text or cause.text)
        with self._service.database.write() as conn:
            self._complete(conn, self._n, StepState.FAILED)
            job_rows.advance(conn, self.job, self._n + 1)
        self._n, self.attempt = self._n + 1, 0

    def backward(self) -> Wait | None:
        """Undo every step that was begun, last first. One that ends its workers is left."""
        for n in reversed(range(len(self._flow))):
            if self._rows[n].state not in _TOUCHED:
                continue
            if self.attempt >= self.job.attempts_max:
                LOG.error("undo left behind job_id=%s step=%s", self.job.id, n)
                with self._service.database.write() as conn:
                    self._complete(conn, n, StepState.FAILED)
                    job_rows.advance(conn, self.job, self.job.step)
                self.attempt = 0
                continue
            answer = self._flow[n].undo(self._context(n))
            if isinstance(answer, Wait):
                return answer
            self._save(n, state=StepState.UNDONE, finished_at=metadata.now())
        return None

    @property
    def past_return(self) -> bool:
        """Whether what was made stays: a final step is done."""
        return any(
            self._flow[n].final and row.state == StepState.DONE for n, row in self._rows.items()
        )

    def _context(self, n: int) -> StepContext:
        last = time.monotonic()

        def check() -> None:
            self._lease.check(final=self.unwinding or self.past_return)

        def progress(done_bytes: int, total_bytes: int | None) -> None:
            nonlocal last
            check()
            if time.monotonic() - last >= PROGRESS_S or done_bytes == total_bytes:
                last = time.monotonic()
                self._save(n, done_bytes=done_bytes, total_bytes=total_bytes)

        return StepContext(
            service=self._service,
            job=self.job,
            memo=Memo(dict(self._rows[n].memo), lambda memo: self._save(n, memo=dict(memo))),
            results={row.name: dict(row.memo) for row in self._rows.values()},
            request_token=self._rows[n].memo[_REQUEST],
            check=check,
            progress=progress,
            complete=lambda conn: job_rows.save_step(conn, self.job, self._ended(n)),
        )

    def _ended(self, n: int, state: StepState = StepState.DONE) -> JobStep:
        return dataclasses.replace(self._rows[n], state=state, finished_at=metadata.now())

    def _complete(self, conn: Any, n: int, state: StepState = StepState.DONE) -> None:
        self._rows[n] = self._ended(n, state)
        job_rows.save_step(conn, self.job, self._rows[n])

    def _save(self, n: int, **changes: Any) -> None:
        self._rows[n] = dataclasses.replace(self._rows[n], **changes)
        with self._service.database.write() as conn:
            job_rows.save_step(conn, self.job, self._rows[n])

    def park(
        self,
        until: datetime.datetime,
        *,
        attempt: int | None = None,
        cause: failure.Failure | None = None,
    ) -> None:
        """Let go of the job until a moment; `cause` is what it waits for the end of."""
        why = None if cause is None else (cause.text, cause.operator_text)
        with self._service.database.write() as conn:
            kept = self.attempt if attempt is None else attempt
            # A pause may be minutes long: who was asked to stop meanwhile does so now.
            heed = not (self.unwinding or self.past_return)
            job_rows.park(conn, self.job, until, kept, heed_cancel=heed, cause=why)

    def finish(self) -> None:
        """The job is done; its result is that of the last step that has one."""
        result: dict[str, Any] = {}
        for row in self._rows.values():
            result = dict(row.memo).get("result", result)
        with self._service.database.write() as conn:
            job_rows.finish(conn, self.job, result)
            self._record(conn, "done", result)

    def begin_unwinding(self, cause: failure.Failure) -> None:
        """From now on steps are undone."""
        with self._service.database.write() as conn:
            job_rows.unwind(
                conn,
                self.job,
                error_code=cause.code,
                error_text=cause.text,
                operator_text=cause.operator_text,
            )
        self.unwinding, self.error_code, self._error_text = True, cause.code, cause.text
        self.attempt = 0

    def end_unwound(self) -> None:
        """The job ends as its cause says, and an image that it was making with it."""
        ends = {failure.CANCELLED: job_rows.cancel_done, failure.DEAD: job_rows.die}
        code = self.error_code or failure.FAILED
        with self._service.database.write() as conn:
            job_rows.fence(conn, self.job)
            job_failure.end(
                conn, self._service.quotas, self.job, self._error_text, keep=self._keeps(code)
            )
            ends.get(code, job_rows.fail)(conn, self.job)
            self._record(conn, code, {})

    def _keeps(self, code: str) -> bool:
        """Whether bytes that were judged and found good stay for another attempt."""
        judged = any("hash_value" in row.memo for row in self._rows.values())
        return judged and code != failure.CANCELLED

    def _record(self, conn: Any, code: str, result: dict[str, Any]) -> None:
        detail = {"code": code, "type": str(self.job.type), **result}
        step = AuditStep(conn, self.job.id, owner=self.job.project_id, detail=detail)
        outcome = SUCCESS if code == "done" else FAILURE
        ctx = self._context(0).caller
        self._service.operation.record(conn, ctx, "job:end", "job", step, outcome)
