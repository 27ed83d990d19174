"""Following a job."""

import pytest

from imagesvc.shell import job_wait
from imagesvc.shell.cloud import ShellError

JOB = {
    "id": "1", "type": "create-servers", "state": "running", "phase": "Store", "percent": 40.0,
    "done_bytes": 4, "total_bytes": 10, "eta_s": 6.0, "cause": None,
}  # fmt: skip


class Script:
    """Gives one state after the other, as a client would."""

    def __init__(self, *states):
        self._jobs = [{**JOB, **state} for state in states]

    def get(self, path):
        """The next one; the last stays."""
        return {"job": self._jobs.pop(0) if len(self._jobs) > 1 else self._jobs[0]}


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """No pauses."""
    monkeypatch.setattr(job_wait, "PAUSE_S", (0.0, 0.0))


def test_progress_goes_to_stderr_and_the_job_comes_back(capsys):
    job = job_wait.wait(Script({}, {"state": "done"}), "1", timeout_s=5)
    assert job["state"] == "done"
    out, err = capsys.readouterr()
    assert out == ""
    assert "create-servers running, Store, 40 %, 4 of 10 bytes, 6 s left" in err


def test_a_failed_job_is_an_error_with_its_cause():
    with pytest.raises(ShellError, match="Job 1 is failed: no room"):
        job_wait.wait(Script({"state": "failed", "cause": "no room"}), "1", timeout_s=5)


def test_waiting_ends_at_its_time():
    with pytest.raises(ShellError, match="still running after 0 s; it goes on"):
        job_wait.wait(Script({}), "1", timeout_s=0)
