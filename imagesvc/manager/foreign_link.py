"""A URL elsewhere becomes the location of an image, and a job reads all of it."""

from typing import Any

from imagesvc import errors
from imagesvc.context import RequestContext
from imagesvc.db import attempt, foreign_location
from imagesvc.db import image as image_rows
from imagesvc.domain import image_import
from imagesvc.domain.foreign_location import ForeignLocation
from imagesvc.domain.image import Image, ImageDisk
from imagesvc.domain.image_import import ImportRequest
from imagesvc.domain.job import Job
from imagesvc.domain.state import ImageStatus
from imagesvc.errors import Reason
from imagesvc.manager.foreign_bytes import ForeignBytes, Sight
from imagesvc.manager.foreign_location import (
    activate,
    is_web,
    require_plain,
    require_status,
    require_store,
)
from imagesvc.manager.image import visible_image
from imagesvc.manager.image_bytes import facts_of
from imagesvc.manager.job import JobManager
from imagesvc.manager.operation import Operation, Step
from imagesvc.policy.check import Enforcer
from imagesvc.stream import container, source


class ForeignLinkManager:
    """Starts the jobs; the worker reads. `hash_algorithm` is what they hash by."""

    def __init__(
        self,
        operation: Operation,
        enforcer: Enforcer,
        jobs: JobManager,
        found: ForeignBytes,
        *,
        hash_algorithm: str,
    ) -> None:
        self._operation = operation
        self._enforcer = enforcer
        self._jobs = jobs
        self._bytes = found
        self._hash_algorithm = hash_algorithm

    def takes(self, url: str) -> bool:
        """Whether a URL may stay a location."""
        return self._bytes.store_id is not None and is_web(url)

    def link(self, ctx: RequestContext, image_id: str, request: ImportRequest) -> Job:
        """Make a URL the location of a queued image, and hand in the job that reads it.

        With a digest the image is importing until all bytes were read and have it. Without it
        the image is active at once, and gets its digests when the job is done. Raises what `add`
        does, and Conflict (FORMAT_MISSING).
        """
        sight = None
        with self._operation.attempt(ctx, "location:add", "image", image_id) as step:
            with self._operation.database.read() as step.conn:
                image = self._visible(step, ctx, image_id)
                self._check_link(image, request)
            if request.digest is None:
                sight = self._bytes.look(request.uri or "", image)
        return self._link(ctx, image_id, request, sight)

    @attempt.again
    def _link(
        self, ctx: RequestContext, image_id: str, request: ImportRequest, sight: Sight | None
    ) -> Job:
        rule, url = image_import.LOCATION_LINK, request.uri or ""
        detail = {"from": source.shown(url)}
        with self._operation.write(ctx, rule.action, "image", image_id, detail) as op:
            image = self._visible(op, ctx, image_id, lock=True)
            store_id = self._check_link(image, request)
            foreign_location.put(op.conn, image_id, (ForeignLocation(store_id, url),))
            args = {"stores": [store_id], **request.arguments()}
            job = self._jobs.submit(op.conn, ctx, rule.job_type, args, image_id=image_id)
            if sight is None:
                image_rows.transition(op.conn, image_id, "import")
            else:
                activate(op.conn, image, sight, None, self._hash_algorithm, None)
            marks = image_import.marks(job.id, (store_id,))
            image_rows.set_properties(op.conn, image_id, marks)
            op.detail["job_id"] = job.id
            return job

    def _check_link(self, image: Image, request: ImportRequest) -> str:
        require_status(image, (ImageStatus.QUEUED,), "import")
        require_plain(image)
        store_id = require_store(self._bytes)
        if not (image.disk_format and image.container_format):
            raise errors.Conflict(
                "Set disk_format and container_format of image {image_id} first.",
                image_id=image.id, reason=Reason.FORMAT_MISSING,
            )  # fmt: skip
        container.check_container(image.container_format)
        self._bytes.check(request.uri or "")
        return store_id

    def _visible(
        self, op: Step, ctx: RequestContext, image_id: str, *, lock: bool = False
    ) -> Image:
        image = visible_image(op.conn, ctx, image_id, lock=lock)
        op.owner = image.owner
        self._enforcer.authorize(ctx, image_import.LOCATION_LINK.action, image)
        return image


def settle(conn: Any, job: Job, judged: Image, disk: ImageDisk) -> None:
    """The bytes were read whole, and these are their facts; an importing image is active by it.

    In a transaction that holds the job's row; `judged` is the image as it was read by. Raises
    ImageGone if they are not the image's any more, Conflict if it has another format since.
    """
    image = image_rows.get(conn, job.image_id or "", lock=True)
    if image is None or image.foreign_store is None:
        raise errors.ImageGone(image_id=job.image_id)
    if _formats(image) != _formats(judged):
        raise errors.Conflict(
            "The format of image {image_id} was changed while its bytes were read.",
            image_id=image.id, reason=Reason.FORMAT_MISMATCH,
        )  # fmt: skip
    if image.status == ImageStatus.IMPORTING:
        image_rows.transition(conn, image.id, "link", facts_of(disk))
    else:
        image_rows.update(conn, image.id, facts_of(disk))


def _formats(image: Image) -> tuple[str | None, str | None]:
    return image.disk_format, image.container_format


def refuse(conn: Any, job: Job) -> bool:
    """The bytes are not fit: an image that was active without a look at them is so no more.

    In a transaction that holds the job's row. Whether it was.
    """
    image = image_rows.get(conn, job.image_id or "", lock=True)
    if image is None or image.status != ImageStatus.ACTIVE:
        return False
    image_rows.transition(conn, image.id, "deactivate")
    return True
