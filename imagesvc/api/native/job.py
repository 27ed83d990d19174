"""Jobs: how far, why not, stop, again."""

import datetime
from typing import Any

import falcon

from imagesvc.api.native import query, views
from imagesvc.domain import job as entities
from imagesvc.domain import state
from imagesvc.manager import job as jobs

_STATES = tuple(map(str, state.JobState))
_TYPES = tuple(map(str, entities.JobType))
FILTERS: dict[str, dict[str, Any]] = {
    "state": {"enum": list(_STATES)},
    "type": {"enum": list(_TYPES)},
}


def _render(req: falcon.Request, job: entities.Job) -> dict[str, Any]:
    now = datetime.datetime.now(datetime.UTC)
    return views.job(job, now, operator=req.context.caller.is_admin)


class JobsResource:
    """The project's jobs."""

    def __init__(self, manager: jobs.JobManager) -> None:
        self._jobs = manager

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """List, newest first."""
        page = query.page(req, {"state", "type"})
        found = self._jobs.list(
            req.context.caller,
            state=query.choice(req, "state", _STATES),
            type=query.choice(req, "type", _TYPES),
            marker=page.marker,
            limit=page.limit,
        )
        resp.media = query.answer(
            "jobs", found, page, lambda job: _render(req, job), lambda job: job.id
        )


class JobResource:
    """One job."""

    def __init__(self, manager: jobs.JobManager) -> None:
        self._jobs = manager

    def on_get(self, req: falcon.Request, resp: falcon.Response, job_id: str) -> None:
        """Show it with its steps."""
        resp.media = {"job": _render(req, self._jobs.get(req.context.caller, job_id))}


class JobCancelResource:
    """Stopping a job."""

    def __init__(self, manager: jobs.JobManager) -> None:
        self._jobs = manager

    def on_post(self, req: falcon.Request, resp: falcon.Response, job_id: str) -> None:
        """Ask it to stop and to undo what it made."""
        resp.media = {"job": _render(req, self._jobs.cancel(req.context.caller, job_id))}
        resp.status = falcon.HTTP_202


class JobRetryResource:
    """Running an ended job again."""

    def __init__(self, manager: jobs.JobManager) -> None:
        self._jobs = manager

    def on_post(self, req: falcon.Request, resp: falcon.Response, job_id: str) -> None:
        """Make a failed, dead or cancelled job ready again."""
        resp.media = {"job": _render(req, self._jobs.retry(req.context.caller, job_id))}
        resp.status = falcon.HTTP_202
