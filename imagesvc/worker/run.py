"""One claimed job: its steps' rows, each write fenced by the lease."""

import dataclasses
import datetime
import time
from typing import Any

from imagesvc import errors
from imagesvc import service as services
from imagesvc.db import image as image_rows
from imagesvc.db import job as job_rows
from imagesvc.db import metadata
from imagesvc.domain.job import Job, JobStep
from imagesvc.domain.state import StepState
from imagesvc.manager.operation import FAILURE
from imagesvc.manager.operation import Step as AuditStep
from imagesvc.worker.flow import Flow, Memo, Step, StepContext, Wait
from imagesvc.worker.lease import Lease

PROGRESS_S = 1.0
_TOUCHED = frozenset({StepState.RUNNING, StepState.DONE, StepState.FAILED})


class Run:
    """What the runner does with a job, as verbs."""

    def __init__(self, service: services.Service, job: Job, flow: Flow, lease: Lease) -> None:
        self._service = service
        self.job = job
        self._flow = flow
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
        return self._flow.steps[self._n] if self._n < len(self._flow.steps) else None

    def prepare(self) -> None:
        """Write the rows of the steps at the first claim."""
        with self._service.database.write() as conn:
            for n, step in enumerate(self._flow.steps):
                if n not in self._rows:
                    state = StepState.PENDING if step.applies(self.job) else StepState.SKIPPED
                    self._rows[n] = JobStep(self.job.id, n, step.name, state)
                    job_rows.save_step(conn, self.job, self._rows[n])

    def forward(self) -> Wait | None:
        """Run the present step; if it ends, go to the next. Raises what the step raises."""
        n, step, row = self._n, self._flow.steps[self._n], self._rows[self._n]
        if row.state not in (StepState.SKIPPED, StepState.DONE):
            self._lease.check(final=self._is_final())
            self._save(n, state=StepState.RUNNING, started_at=row.started_at or metadata.now())
            answer = step.run(self._context(n))
            if isinstance(answer, Wait):
                return answer
        with self._service.database.write() as conn:
            if row.state != StepState.SKIPPED:
                self._rows[n] = dataclasses.replace(
                    self._rows[n], state=StepState.DONE, finished_at=metadata.now()
                )
                job_rows.save_step(conn, self.job, self._rows[n])
            job_rows.advance(conn, self.job, n + 1)
        self._n, self.attempt = n + 1, 0
        return None

    def backward(self) -> None:
        """Undo every step that was begun, last first."""
        for n in reversed(range(len(self._flow.steps))):
            if self._rows[n].state in _TOUCHED:
                self._flow.steps[n].undo(self._context(n))
                self._save(n, state=StepState.UNDONE, finished_at=metadata.now())

    def _is_final(self) -> bool:
        return any(
            self._flow.steps[n].final and row.state == StepState.DONE
            for n, row in self._rows.items()
        )

    def _context(self, n: int) -> StepContext:
        last = time.monotonic()

        def check() -> None:
            self._lease.check(final=self.unwinding or self._is_final())

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
            request_token=f"{self.job.id}:{self._flow.steps[n].name}",
            check=check,
            progress=progress,
        )

    def _save(self, n: int, **changes: Any) -> None:
        self._rows[n] = dataclasses.replace(self._rows[n], **changes)
        with self._service.database.write() as conn:
            job_rows.save_step(conn, self.job, self._rows[n])

    def park(self, until: datetime.datetime, *, attempt: int | None = None) -> None:
        """Let go of the job until a moment."""
        with self._service.database.write() as conn:
            kept = self.attempt if attempt is None else attempt
            job_rows.park(conn, self.job, until, kept)

    def finish(self) -> None:
        """The job is done; its result is that of the last step that has one."""
        result: dict[str, Any] = {}
        for row in self._rows.values():
            result = dict(row.memo).get("result", result)
        with self._service.database.write() as conn:
            job_rows.finish(conn, self.job, result)

    def begin_unwinding(self, code: str, text: str, operator_text: str) -> None:
        """From now on steps are undone."""
        with self._service.database.write() as conn:
            job_rows.unwind(
                conn,
                self.job,
                error_code=code,
                error_text=text,
                operator_text=operator_text,
            )
        self.unwinding, self.error_code, self._error_text = True, code, text
        self.attempt = 0

    def end_unwound(self, code: str) -> None:
        """The job ends as `code` says, and an image that it was making with it."""
        ends = {"cancelled": job_rows.cancel_done, "dead": job_rows.die}
        with self._service.database.write() as conn:
            job_rows.fence(conn, self.job)
            if self._flow.makes_image and self.job.image_id:
                self._kill_image(conn, self.job.image_id)
            ends.get(code, job_rows.fail)(conn, self.job)
            self._record(conn, code)

    def _kill_image(self, conn: Any, image_id: str) -> None:
        try:
            image_rows.transition(conn, image_id, "job_failed", {"cause": self._error_text})
        except (errors.ImageNotFound, errors.StateConflict):
            return  # deleted meanwhile, or already active: neither is this job's to change

    def _record(self, conn: Any, code: str) -> None:
        detail = {"code": code, "type": str(self.job.type)}
        step = AuditStep(conn, self.job.id, owner=self.job.project_id, detail=detail)
        ctx = self._context(0).caller
        self._service.operation.record(conn, ctx, "job:end", "job", step, FAILURE)
