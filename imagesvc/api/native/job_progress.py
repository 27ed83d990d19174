"""Percent and time to go, derived from a job's steps."""

import datetime

from imagesvc.domain import job as jobs
from imagesvc.domain.state import JobState, StepState

_PASSED = frozenset({StepState.DONE, StepState.SKIPPED})


def current_step(job: jobs.Job) -> jobs.JobStep | None:
    """The step that the job is at; None before the first claim."""
    return next((step for step in job.steps if step.n == job.step), None)


def percent(job: jobs.Job) -> float:
    """Steps passed of all, the current one by its bytes; 100 only when done."""
    if job.state is JobState.DONE:
        return 100.0
    if not job.steps:
        return 0.0
    passed = float(sum(step.state in _PASSED for step in job.steps))
    step = current_step(job)
    if step and step.state not in _PASSED and step.total_bytes:
        passed += min(step.done_bytes / step.total_bytes, 1.0)
    return round(min(passed / len(job.steps), 0.99) * 100, 1)


def eta_s(job: jobs.Job, now: datetime.datetime) -> float | None:
    """Seconds until the current step ends at its present rate; None if nothing can be said."""
    step = current_step(job)
    if job.state is not JobState.RUNNING or step is None or step.started_at is None:
        return None
    if not step.total_bytes or not step.done_bytes:
        return None
    elapsed = (now - step.started_at).total_seconds()
    left = max(step.total_bytes - step.done_bytes, 0)
    return round(max(elapsed, 0.0) * left / step.done_bytes, 1)
