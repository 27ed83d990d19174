"""Tasks: imports as Glance shows them."""

from typing import Any

import falcon

from imagesvc.api.glance import task_view


class ImageTasksResource:
    """The imports of one image."""

    def __init__(self, tasks: Any) -> None:
        self._tasks = tasks

    def on_get(self, req: falcon.Request, resp: falcon.Response, image_id: str) -> None:
        """List them, newest first."""
        found = self._tasks.list_for_image(req.context.caller, image_id)
        resp.media = {"tasks": [task_view.render(job) for job in found]}


class TaskResource:
    """One import, for administrators."""

    def __init__(self, tasks: Any) -> None:
        self._tasks = tasks

    def on_get(self, req: falcon.Request, resp: falcon.Response, task_id: str) -> None:
        """Show it."""
        resp.media = task_view.render(self._tasks.get(req.context.caller, task_id))
