"""Images that come from other regions, in the transactions of what happens to them.

Each transaction holds the image before its uploads, as all do.
"""

import contextlib
from typing import Any

from imagesvc import errors
from imagesvc.context import RequestContext
from imagesvc.db import doomed, image_key, pending
from imagesvc.db import image as image_rows
from imagesvc.db import job as job_rows
from imagesvc.db import region_image as region_image_rows
from imagesvc.db import upload as upload_rows
from imagesvc.domain import image_import
from imagesvc.domain import region_image as domain
from imagesvc.domain.image import Image
from imagesvc.domain.job import JobType
from imagesvc.domain.region_image import RegionImage
from imagesvc.domain.state import ImageStatus, JobState
from imagesvc.manager import job_failure, upload_end
from imagesvc.manager.job import JobManager
from imagesvc.manager.operation import SUCCESS, Operation, Step
from imagesvc.manager.quota import QuotaManager

_COMING = (ImageStatus.QUEUED, ImageStatus.UPLOADING)


def complete(
    conn: Any,
    ctx: RequestContext,
    operation: Operation,
    jobs: JobManager,
    quotas: QuotaManager,
    image: Image,
    coming: RegionImage,
) -> None:
    """If all disks have all bytes, hand in the job that judges them and makes the image active.

    Raises InvalidRequest (FORMAT_MISSING), StateConflict, QuotaExceeded.
    """
    uploads = upload_rows.for_image(conn, image.id)
    if any(one.offset_bytes != one.size_bytes for one in uploads):
        return
    job_id, stores = jobs.new_id(), [uploads[0].store_id]
    size_bytes = sum(disk.size_bytes for disk in coming.disks)
    source = {"source_region": coming.source_region, "source_project_id": coming.source_project_id}
    args: dict[str, Any] = {
        "method": "region",
        "upload_ids": [disk.upload_id for disk in coming.disks],
        "parts": domain.plain(coming.disks),
        "stores": stores,
        "all_must_succeed": True,
        "size_bytes": size_bytes,
        **source,
    }
    job_type = JobType.RECEIVE_IMAGE
    job = jobs.submit(conn, ctx, job_type, args, image_id=image.id, job_id=job_id)
    image_rows.transition(conn, image.id, "import")
    image_rows.set_properties(conn, image.id, image_import.marks(job_id, stores))
    region_image_rows.set_job(conn, image.id, job_id)
    for one in uploads:
        upload_rows.complete(conn, one.id, job_id)
    detail = {"job_id": job_id, "size_bytes": size_bytes, **source}
    step = Step(conn, image.id, owner=image.owner, detail=detail)
    operation.record(conn, ctx, "upload:complete", "image", step, SUCCESS)
    quotas.settle(conn, [one.id for one in uploads], image.owner)
    jobs.reserve(conn, image.owner, job)


def give_up(
    conn: Any,
    ctx: RequestContext,
    operation: Operation,
    quotas: QuotaManager,
    image_id: str,
    cause: str,
) -> tuple[tuple[str, str], ...] | None:
    """Delete an image of which bytes are missing; the objects that are nobody's by that.

    The audit trail has `cause`. None, and nothing done, if it has all of its bytes by now or is gone.
    """
    image = image_rows.get(conn, image_id, lock=True)
    if image is None or image.status not in _COMING:
        return None
    left = upload_end.forget(conn, image_id)
    # There is nothing to protect or provide yet.
    image_rows.update(conn, image_id, {"protected": False, "provided_until": None})
    with contextlib.suppress(errors.ImageNotFound):
        image_rows.transition(conn, image_id, "delete")
    image_key.remove(conn, image_id)
    objects = (*left.objects, *pending.take(conn, left.tokens))
    doomed.add_all(conn, objects)
    quotas.settle(conn, left.tokens, image.owner, images=-1)
    step = Step(conn, image_id, image.owner, {"cause": cause, **_source(conn, image_id)})
    operation.record(conn, ctx, "image:delete", "image", step, SUCCESS)
    return objects


def stop(
    conn: Any,
    ctx: RequestContext,
    operation: Operation,
    quotas: QuotaManager,
    image_id: str,
    cause: str,
) -> None:
    """Cancel the job that makes an image of all that came; nothing if it ended, or there is none.

    An image that the job has not made by then is killed.
    """
    coming = region_image_rows.get(conn, image_id)
    if coming is None or coming.job_id is None:
        return
    with contextlib.suppress(errors.StateConflict, errors.JobNotFound):
        job = job_rows.request_cancel(conn, coming.job_id)
        if job.state == JobState.CANCELLED:  # no worker had it
            job_failure.end(conn, quotas, job, cause)
        detail = {"cause": cause, "image_id": image_id, **_source(conn, image_id)}
        step = Step(conn, job.id, coming.project_id, detail)
        operation.record(conn, ctx, "job:cancel", "job", step, SUCCESS)


def _source(conn: Any, image_id: str) -> dict[str, str]:
    """Where the image comes from."""
    coming = region_image_rows.get(conn, image_id)
    if coming is None:
        return {}
    return {"source_region": coming.source_region, "source_project_id": coming.source_project_id}
