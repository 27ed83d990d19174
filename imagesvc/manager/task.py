"""Tasks, as Glance calls imports: the jobs that do them."""

from collections.abc import Mapping

from imagesvc import errors
from imagesvc.context import RequestContext
from imagesvc.db import attempt
from imagesvc.db import task as task_rows
from imagesvc.domain.image import NewImage
from imagesvc.domain.image_import import ImportRequest, Method
from imagesvc.domain.job import IMPORTS, Job, JobType
from imagesvc.domain.task import TaskQuery, TaskRequest, TaskType
from imagesvc.manager.image import ImageManager, visible_image
from imagesvc.manager.image_import import ImportManager
from imagesvc.manager.operation import Operation
from imagesvc.policy.check import Enforcer

_OF_IMAGE_MAX = 1000
_MADE = frozenset({JobType.IMPORT_TASK})
_LOCATIONS = frozenset({JobType.IMPORT_LOCATION, JobType.LINK_LOCATION})
_TYPES: Mapping[TaskType | None, frozenset[JobType]] = {
    None: IMPORTS,
    TaskType.IMPORT: _MADE,
    TaskType.API_IMAGE_IMPORT: IMPORTS - _LOCATIONS - _MADE,
    TaskType.LOCATION_IMPORT: _LOCATIONS,
}


class TaskManager:
    """Shows imports, and makes those that make their image."""

    def __init__(
        self, operation: Operation, enforcer: Enforcer, images: ImageManager, imports: ImportManager
    ) -> None:
        self._operation = operation
        self._enforcer = enforcer
        self._images = images
        self._imports = imports

    def create(self, ctx: RequestContext, request: TaskRequest, new: NewImage) -> Job:
        """Make an image and the job that fetches its bytes, both or neither.

        Raises Forbidden, InvalidRequest, Conflict (ID_TAKEN), QuotaExceeded, TooLarge,
        UnsupportedImage.
        """
        with self._operation.attempt(ctx, "task:create", "job", "-"):
            self._enforcer.authorize(ctx, "task:create")
            prepared = self._images.prepare(ctx, new)
        return self._create(ctx, request, prepared)

    @attempt.again
    def _create(self, ctx: RequestContext, request: TaskRequest, new: NewImage) -> Job:
        with self._operation.write(ctx, "task:create", "job", "-") as op:
            self._enforcer.authorize(ctx, "task:create")
            image = self._images.insert(op, ctx, new)
            source = ImportRequest(Method.WEB_DOWNLOAD, uri=request.import_from)
            shown = {
                "import_from_format": request.import_from_format,
                "image_properties": dict(request.image_properties),
            }
            job = self._imports.begin(op, ctx, image, source, shown)
            op.target_id = job.id
            op.detail["image_id"] = image.id
            return job

    def list_for_image(self, ctx: RequestContext, image_id: str) -> tuple[Job, ...]:
        """The imports of an image that the caller sees, newest first. Raises ImageNotFound."""
        look = self._operation.look(ctx, "task:list_for_image", "image", image_id)
        with look as step, self._operation.database.read() as conn:
            image = visible_image(conn, ctx, image_id)
            step.owner = image.owner
            self._enforcer.authorize(ctx, "task:list_for_image", image)
            return task_rows.for_image(conn, image_id, IMPORTS, _OF_IMAGE_MAX)

    def list(self, ctx: RequestContext, query: TaskQuery, limit: int) -> tuple[Job, ...]:
        """The imports of all projects. Raises Forbidden, InvalidRequest (MARKER)."""
        self.require(ctx)
        types = _TYPES[query.type]
        with self._operation.database.read() as conn:
            return task_rows.page(conn, types, query, limit)

    def require(self, ctx: RequestContext, action: str = "task:list") -> None:
        """Raise Forbidden for whom tasks are not; before anything that was asked is judged."""
        with self._operation.look(ctx, action, "job"):
            self._enforcer.authorize(ctx, action)

    def get(self, ctx: RequestContext, task_id: str) -> Job:
        """One import of any project. Raises Forbidden, JobNotFound."""
        with self._operation.look(ctx, "task:get", "job", task_id):
            self._enforcer.authorize(ctx, "task:get")
            with self._operation.database.read() as conn:
                found = task_rows.get(conn, task_id, IMPORTS)
            if found is None:
                raise errors.JobNotFound(job_id=task_id)
            return found
