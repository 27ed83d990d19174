"""Job of an import -> Glance's task."""

import datetime
import urllib.parse
from collections.abc import Mapping
from typing import Any

from imagesvc.api.glance import image_view
from imagesvc.domain.job import Job, JobType
from imagesvc.domain.state import JobState
from imagesvc.domain.task import TaskType

KEPT = datetime.timedelta(hours=48)
_STATUS = {
    JobState.READY: "processing",
    JobState.RUNNING: "processing",
    JobState.DONE: "success",
    JobState.FAILED: "failure",
    JobState.CANCELLED: "failure",
    JobState.DEAD: "failure",
}

_TYPES: Mapping[str, TaskType] = {
    JobType.IMPORT_LOCATION: TaskType.LOCATION_IMPORT,
    JobType.LINK_LOCATION: TaskType.LOCATION_IMPORT,
    JobType.IMPORT_TASK: TaskType.IMPORT,
}


# What a caller gave with the method, and the argument of the job that keeps it.
_METHOD = {
    "uri": "uri",
    "glance_region": "region",
    "glance_image_id": "remote_image_id",
    "glance_service_interface": "interface",
}


def render(job: Job, *, own: bool = True) -> dict[str, Any]:
    """One task in its long form; `expires_at` is there once it has ended.

    Not `own`: without who asked, and without path and query of URLs, where signatures stand.
    """
    begun = job.started_at or job.created_at
    view: dict[str, Any] = {
        "id": job.id,
        "type": str(_TYPES.get(job.type, TaskType.API_IMAGE_IMPORT)),
        "status": _STATUS[job.state] if job.started_at or job.finished_at else "pending",
        "owner": job.project_id,
        "input": _input(job, own),
        "result": dict(job.result) or None,
        "message": job.error_text or "",
        "image_id": job.image_id,
        "user_id": job.user_id if own else None,
        "request_id": job.request_id if own else None,
        "created_at": image_view.time(job.created_at),
        "updated_at": image_view.time(job.finished_at or begun),
        "self": f"/v2/tasks/{job.id}",
        "schema": "/v2/schemas/task",
    }
    if job.finished_at is not None:
        view["expires_at"] = image_view.time(job.finished_at + KEPT)
    return view


_SHORT = (
    "id", "type", "status", "owner", "created_at", "updated_at", "self", "schema", "expires_at",
)  # fmt: skip


def render_short(job: Job) -> dict[str, Any]:
    """One task of a list."""
    return {name: value for name, value in render(job).items() if name in _SHORT}


def _input(job: Job, own: bool) -> dict[str, Any]:
    """What was asked for; where staged bytes lie is nobody's to see."""
    args = dict(job.args)
    if "uri" in args and not own:
        args["uri"] = _origin(args["uri"])
    if job.type == JobType.IMPORT_TASK:
        told = {name: args[name] for name in ("import_from_format", "image_properties")}
        return {"import_from": args["uri"], **told}
    method = {"name": job.args["method"]}
    for name, argument in _METHOD.items():
        if argument in args:
            method[name] = args[argument]
    asked = {"method": method, "all_stores_must_succeed": job.args["all_must_succeed"]}
    return {"image_id": job.image_id, "import_req": asked, "backend": job.args["stores"]}


def _origin(url: str) -> str:
    parts = urllib.parse.urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}/"
