"""What jobs, servers and times look like; pure functions, tested with tables."""

import datetime

import pytest

from imagesvc.api.native import job_progress, views
from imagesvc.domain.job import Job, JobStep, JobType
from imagesvc.domain.state import JobState, StepState

BEGUN = datetime.datetime(2030, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
NOW = BEGUN + datetime.timedelta(seconds=10)


def job(*steps, state=JobState.RUNNING, step=0, **more):
    """A job with steps given as (state, done, total)."""
    rows = tuple(
        JobStep("1", n, f"step-{n}", StepState(found), BEGUN, None, {}, done, total)
        for n, (found, done, total) in enumerate(steps)
    )
    return Job(
        "1", JobType.CAPTURE_SYSTEM_DISK, 1, {}, "p", state, BEGUN, step=step, steps=rows, **more
    )


@pytest.mark.parametrize(
    ("found", "percent", "eta_s"),
    [
        (job(state=JobState.READY), 0.0, None),
        (job(("running", 0, None), ("pending", 0, None)), 0.0, None),
        (job(("running", 25, 100), ("pending", 0, None)), 12.5, 30.0),
        (job(("done", 9, 9), ("running", 50, 100), step=1), 75.0, 10.0),
        (job(("skipped", 0, None), ("running", 1, 2), step=1), 75.0, 10.0),
        (job(("done", 9, 9), ("running", 200, 100), step=1), 99.0, 0.0),
        (job(("done", 9, 9), ("done", 9, 9), step=2), 99.0, None),
        (job(("done", 9, 9), state=JobState.DONE, step=1), 100.0, None),
        (job(("undone", 9, 9), state=JobState.FAILED), 100.0 * 0.99, None),
    ],
)
def test_percent_and_time_to_go(found, percent, eta_s):
    assert job_progress.percent(found) == pytest.approx(percent)
    assert job_progress.eta_s(found, NOW) == eta_s


def test_only_operators_read_the_operators_text():
    found = job(operator_text="disk 7 of host 9", error_text="No room.", state=JobState.FAILED)
    assert "host 9" not in str(views.job(found, NOW))
    assert views.job(found, NOW)["cause"] == "No room."
    assert views.job(found, NOW, operator=True)["operator_cause"] == "disk 7 of host 9"


def test_times_are_utc_with_a_z():
    east = datetime.timezone(datetime.timedelta(hours=2))
    assert views.time(BEGUN.astimezone(east)) == "2030-01-02T03:04:05Z"
    assert views.time(None) is None
