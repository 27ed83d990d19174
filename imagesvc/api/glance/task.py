"""Tasks: imports as Glance shows them."""

from typing import Any

import falcon

from imagesvc import errors
from imagesvc.api import page, validate
from imagesvc.api.glance import task_body, task_view
from imagesvc.domain.task import SORT_KEYS, TaskQuery, TaskStatus, TaskType

_PATH = "/v2/tasks"
_LIMIT, _LIMIT_MAX = 25, 1000


class ImageTasksResource:
    """The imports of one image."""

    def __init__(self, tasks: Any) -> None:
        self._tasks = tasks

    def on_get(self, req: falcon.Request, resp: falcon.Response, image_id: str) -> None:
        """List them, newest first."""
        caller = req.context.caller
        found = self._tasks.list_for_image(caller, image_id)
        resp.media = {
            "tasks": [
                task_view.render(job, own=caller.is_admin or job.project_id == caller.project_id)
                for job in found
            ]
        }


class TasksResource:
    """The imports of all projects, for administrators (Glance v2, "Tasks")."""

    def __init__(self, tasks: Any) -> None:
        self._tasks = tasks

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """List them in their short form; unknown parameters say nothing."""
        self._tasks.require(req.context.caller)
        pairs = page.parameters(req)
        asked = dict(pairs)
        limit = page.limit(asked.get("limit"), default=_LIMIT, maximum=_LIMIT_MAX)
        found = self._tasks.list(req.context.caller, _query(asked), limit)
        resp.media = {
            "tasks": [task_view.render_short(job) for job in found],
            "first": page.first_link(_PATH, pairs),
            "schema": "/v2/schemas/tasks",
        }
        if found and len(found) == limit:
            resp.media["next"] = page.next_link(_PATH, pairs, found[-1].id)

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Make an image from a URL: the task `import` is one of our jobs, others are refused."""
        caller = req.context.caller
        self._tasks.require(caller, "task:create")
        job = self._tasks.create(caller, *task_body.parse(validate.json_object(req)))
        resp.status = falcon.HTTP_201
        resp.location = f"{req.prefix}{_PATH}/{job.id}"
        resp.media = task_view.render(job)


def _query(asked: dict[str, str]) -> TaskQuery:
    """Raises InvalidRequest."""
    key, direction = asked.get("sort_key", "created_at"), asked.get("sort_dir", "desc")
    if key not in SORT_KEYS:
        raise errors.InvalidRequest("sort_key must be one of {keys}.", keys=", ".join(SORT_KEYS))
    if direction not in ("asc", "desc"):
        raise errors.InvalidRequest("sort_dir must be asc or desc.")
    try:
        return TaskQuery(
            status=TaskStatus(asked["status"]) if "status" in asked else None,
            type=TaskType(asked["type"]) if "type" in asked else None,
            owner=asked.get("owner"),
            marker=asked.get("marker"),
            sort_key=key,
            descending=direction == "desc",
        )
    except ValueError as exc:  # the names of the enumerations are those that may be asked for
        raise errors.InvalidRequest("There is no such status or type of tasks.") from exc


class TaskResource:
    """One import, for administrators."""

    def __init__(self, tasks: Any) -> None:
        self._tasks = tasks

    def on_get(self, req: falcon.Request, resp: falcon.Response, task_id: str) -> None:
        """Show it."""
        resp.media = task_view.render(self._tasks.get(req.context.caller, task_id))
