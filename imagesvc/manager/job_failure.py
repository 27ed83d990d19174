"""What becomes of the image of a job that failed, by the kind of job.

In the transaction that ends the job, whose row is held. Captures lose the images that they were
making; imports leave it as it was before them.
"""

from collections.abc import Callable, Mapping
from typing import Any

from imagesvc import errors
from imagesvc.db import doomed, metadata, pending
from imagesvc.db import image as image_rows
from imagesvc.domain import capture as captures
from imagesvc.domain import image_import
from imagesvc.domain.image import Image
from imagesvc.domain.job import MAKES_IMAGE, Job, JobType
from imagesvc.domain.state import ImageStatus
from imagesvc.manager import catalog_sync, job_token, upload_end
from imagesvc.manager.quota import QuotaManager


def end(conn: Any, quotas: QuotaManager, job: Job, cause: str, *, keep: bool = False) -> None:
    """Bring image and quota to where they belong without the job.

    `keep`: staged bytes are good, and stay for another import. An image that was deleted, or
    is active by now, is not the job's to change.
    """
    if job.type in _ENDS and (job.image_id or job.type in MAKES_IMAGE):
        _ENDS[job.type](conn, quotas, job, cause, keep)
    else:
        quotas.release(conn, job.id)


def _kill(conn: Any, quotas: QuotaManager, job: Job, cause: str, keep: bool) -> None:
    lost: dict[str | None, int] = {}
    for image_id in captures.image_ids(job):
        try:
            owner = image_rows.transition(conn, image_id, "job_failed", {"cause": cause})
        except (errors.ImageNotFound, errors.StateConflict):  # neither is this job's to change
            continue
        lost[owner] = lost.get(owner, 0) + 1
    for owner, count in lost.items():
        quotas.settle(conn, (job.id,), owner, images=-count)
    if not lost:
        quotas.release(conn, job.id)


def _kill_filled(conn: Any, quotas: QuotaManager, job: Job, cause: str, keep: bool) -> None:
    """As `_kill`, of a job that came as far as an import does."""
    for place in pending.take(conn, (job.id,)):
        doomed.add(conn, *place)
    _kill(conn, quotas, job, cause, keep)


def _import(conn: Any, quotas: QuotaManager, job: Job, cause: str, keep: bool) -> None:
    job_token.forget(conn, job.id)
    image = image_rows.get(conn, job.image_id or "", lock=True)
    importing = image is not None and image.status == ImageStatus.IMPORTING
    if image is not None:
        _mark(conn, job, image)
    if importing and keep and job.type == JobType.IMPORT_STAGED:
        values = {"upload_token": job.id, "heartbeat_at": None}
        image_rows.transition(conn, job.image_id or "", "import_returned", values)
        staged = (job.args["staged"]["store_id"], job.args["staged"]["key"])
        for place in pending.of(conn, job.id):
            if place != staged and pending.remove(conn, *place):
                doomed.add(conn, *place)
        return
    if importing:
        image_rows.transition(conn, job.image_id or "", "import_failed", {"size_bytes": None})
    for place in pending.take(conn, (job.id,)):
        doomed.add(conn, *place)
    upload_end.doom_parts(conn, job)
    quotas.release(conn, job.id)


def _lose_received(conn: Any, quotas: QuotaManager, job: Job, cause: str, keep: bool) -> None:
    """As `_kill`; what came from the other region is of no more use."""
    upload_end.doom_parts(conn, job)
    _kill_filled(conn, quotas, job, cause, keep)


def _lose_release(conn: Any, quotas: QuotaManager, job: Job, cause: str, keep: bool) -> None:
    """No trace of an image that was never published; its family says why there is none."""
    for place in pending.take(conn, (job.id,)):
        doomed.add(conn, *place)
    catalog_sync.failed(conn, job, cause, metadata.now())
    image = image_rows.get(conn, job.image_id or "", lock=True)
    if image is None or image.status != ImageStatus.IMPORTING:
        quotas.release(conn, job.id)
        return
    image_rows.update(conn, image.id, {"provided_until": None})  # whoever promised it had nothing
    image_rows.transition(conn, image.id, "delete")
    quotas.settle(conn, (job.id,), image.owner, images=-1)


def _link(conn: Any, quotas: QuotaManager, job: Job, cause: str, keep: bool) -> None:
    """The foreign location stays; an image that was active already is so without a digest."""
    _import(conn, quotas, job, cause, keep)
    image = image_rows.get(conn, job.image_id or "", lock=True)
    if image is not None and image.foreign_store is not None and image.hash_value is None:
        image_rows.update(conn, image.id, {"hash_algorithm": None})


def _mark(conn: Any, job: Job, image: Image) -> None:
    """Show which stores did not get the image."""
    if image.properties.get(image_import.TASK) != job.id:
        return
    failed = [store for store in job.args["stores"] if store not in image.stores]
    marks = {image_import.IMPORTING: "", image_import.FAILED: ",".join(failed)}
    image_rows.set_properties(conn, image.id, marks, {image_import.TASK})


_ENDS: Mapping[str, Callable[[Any, QuotaManager, Job, str, bool], None]] = {
    JobType.CAPTURE_SYSTEM_DISK: _kill,
    JobType.CAPTURE_DATA_DISKS: _kill,
    JobType.CAPTURE_WHOLE_MACHINE: _kill,
    JobType.CAPTURE_VOLUME: _kill,
    JobType.CAPTURE_NODE: _kill,
    JobType.CAPTURE_BACKUP: _kill,
    JobType.CREATE_FROM_URL: _kill_filled,
    JobType.CREATE_FROM_BUCKET: _kill_filled,
    JobType.CREATE_FROM_OVA: _kill_filled,
    JobType.IMPORT_STAGED: _import,
    JobType.IMPORT_URL: _import,
    JobType.IMPORT_LOCATION: _import,
    JobType.IMPORT_REMOTE: _import,
    JobType.IMPORT_TASK: _import,
    JobType.COPY_IMAGE: _import,
    JobType.IMPORT_UPLOAD: _import,
    JobType.IMPORT_OVA: _import,
    JobType.LINK_LOCATION: _link,
    JobType.COPY_FOREIGN: _import,
    JobType.COPY: _kill_filled,
    JobType.RECEIVE_IMAGE: _lose_received,
    JobType.SYNC_CATALOG: _lose_release,
}
