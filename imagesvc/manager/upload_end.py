"""The end of resumable uploads: their rows go, their bytes are given to the reaper."""

import contextlib
import dataclasses
from typing import Any

from imagesvc import errors
from imagesvc.db import doomed, pending, upload_part
from imagesvc.db import image as image_rows
from imagesvc.db import upload as upload_rows
from imagesvc.domain.job import Job
from imagesvc.domain.upload import Upload
from imagesvc.manager.quota import QuotaManager

_NOT_ITS_IMAGE = (errors.NotFound, errors.StateConflict, errors.Conflict)


@dataclasses.dataclass(frozen=True, slots=True)
class Forgotten:
    """What uploads leave behind: objects, and tokens that quota is set aside under."""

    tokens: tuple[str, ...]
    objects: tuple[tuple[str, str], ...]


def end(conn: Any, quotas: QuotaManager, upload: Upload) -> tuple[tuple[str, str], ...]:
    """Give an upload up that no open job works on; its image is queued again if it waited for it.

    In the caller's transaction, which locks the image before the upload. Returns the objects that
    are doomed by that. A request that still sends bytes finds nothing to add them to.
    """
    with contextlib.suppress(*_NOT_ITS_IMAGE):  # deleted, or whole: neither is the upload's
        image_rows.transition(conn, upload.image_id, "stage_failed", upload_token=upload.id)
    objects = upload_part.take(conn, upload.id)
    upload_rows.delete(conn, upload.id)
    objects += pending.take(conn, (upload.id,))
    doomed.add_all(conn, objects)
    quotas.release(conn, upload.id)
    return tuple(objects)


def forget(conn: Any, image_id: str) -> Forgotten:
    """Remove the uploads of an image that is being deleted, and is locked; the caller dooms."""
    found = upload_rows.for_image(conn, image_id)
    objects: list[tuple[str, str]] = []
    for upload in found:
        objects += upload_part.take(conn, upload.id)
        upload_rows.delete(conn, upload.id)
    return Forgotten(tuple(upload.id for upload in found), tuple(objects))


def doom_parts(conn: Any, job: Job) -> None:
    """The job that joins the parts of uploads is over: nobody needs them any more."""
    one = job.args.get("upload_id")
    for upload_id in job.args.get("upload_ids", [one] if one else ()):
        doomed.add_all(conn, upload_part.take(conn, upload_id))
