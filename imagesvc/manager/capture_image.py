"""What all captures share: image records, and the one job that fills them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from imagesvc.context import RequestContext
from imagesvc.db import image as image_rows
from imagesvc.domain.image import Image, ImageKind, NewImage, Visibility
from imagesvc.domain.job import Job, JobType
from imagesvc.manager.image import ImageManager
from imagesvc.manager.job import JobManager
from imagesvc.manager.operation import Step


def new_image(kind: ImageKind, described: Mapping[str, Any], **found: Any) -> NewImage:
    """A raw image as its caller described it (name, visibility, properties, tags), and what was
    `found` of its source."""
    return NewImage(
        name=described["name"],
        visibility=Visibility(described.get("visibility", Visibility.PRIVATE)),
        disk_format="raw",
        container_format="bare",
        kind=kind,
        tags=tuple(described.get("tags", ())),
        properties=dict(described.get("properties", {})),
        key_id=described.get("key_id"),
        **found,
    )


class CaptureImages:
    """Makes the records in the transaction of the capture."""

    def __init__(self, images: ImageManager, jobs: JobManager) -> None:
        self._images = images
        self._jobs = jobs

    def prepare(self, ctx: RequestContext, news: Sequence[NewImage]) -> Sequence[NewImage]:
        """`ImageManager.prepare` of each, before the transaction."""
        return [self._images.prepare(ctx, new) for new in news]

    def submit(
        self,
        op: Step,
        ctx: RequestContext,
        job_type: JobType,
        news: Sequence[NewImage],
        args_of: Callable[[Sequence[Image]], Mapping[str, Any]],
        key: str | None,
        server_id: str | None = None,
        parent_id: str | None = None,
    ) -> Job:
        """Insert prepared, importing images and their job, whose arguments may name them;
        `server_id` is the server that they were, `parent_id` the image that the source was made of,
        but for data disks of a server. Raises Forbidden, QuotaExceeded."""
        made = [self._images.insert(op, ctx, new) for new in news]
        for image in made:
            image_rows.transition(op.conn, image.id, "import")
        only = made[0].id if len(made) == 1 else None
        job = self._jobs.submit(
            op.conn, ctx, job_type, args_of(made), image_id=only, idempotency_key=key
        )
        values = {"job_id": job.id, **({"source_server_id": server_id} if server_id else {})}
        for image in made:
            own = server_id is not None and image.kind == ImageKind.DATA_DISK
            parent = {} if own else {"parent_image_id": parent_id}
            image_rows.update(op.conn, image.id, values | parent)
        self._jobs.reserve(op.conn, made[0].owner, job)
        named = {"image_id": only} if only else {"image_ids": [image.id for image in made]}
        op.detail.update(named, job_id=job.id)
        return job
