"""Follows a job until it ends, with progress on stderr."""

import sys
import time
from typing import Any

from imagesvc.shell import client as clients
from imagesvc.shell.cloud import ShellError

ENDED = ("done", "failed", "cancelled", "dead")
PAUSE_S = (0.2, 2.0)


def wait(client: clients.Client, job_id: str, *, timeout_s: float, quiet: bool = False) -> Any:
    """Return the job once it is done. Raises ShellError if it ended otherwise or in time not."""
    deadline = time.monotonic() + timeout_s
    pause = PAUSE_S[0]
    shown = ""
    while True:
        job = client.get(f"/jobs/{job_id}")["job"]
        line = describe(job)
        if not quiet and line != shown:
            print(line, file=sys.stderr, flush=True)
            shown = line
        if job["state"] == "done":
            return job
        if job["state"] in ENDED:
            raise ShellError(f"Job {job_id} is {job['state']}: {job['cause'] or 'no cause given'}")
        if time.monotonic() > deadline:
            raise ShellError(
                f"Job {job_id} is still {job['state']} after {timeout_s:g} s; it goes on. "
                f"See: imagesvc job show {job_id}"
            )
        time.sleep(pause)
        pause = min(pause * 1.5, PAUSE_S[1])


def describe(job: dict[str, Any]) -> str:
    """One line: state, phase, percent, bytes, seconds to go."""
    parts = [f"{job['type']} {job['state']}"]
    if job["state"] not in ENDED and job.get("phase"):
        parts.append(str(job["phase"]))
    if job.get("percent") is not None:
        parts.append(f"{job['percent']:.0f} %")
    if job.get("total_bytes"):
        parts.append(f"{job['done_bytes']} of {job['total_bytes']} bytes")
    if job.get("eta_s") is not None and job["state"] not in ENDED:
        parts.append(f"{job['eta_s']:.0f} s left")
    return ", ".join(parts)
