"""The end of an upload that failed: the image goes back, and no bytes are kept."""

import logging

from imagesvc import errors
from imagesvc.backend.registry import Backends
from imagesvc.crashpoint import crashpoint
from imagesvc.db import attempt, doomed, image_disk, pending
from imagesvc.db import image as image_rows
from imagesvc.domain.state import IMAGE
from imagesvc.manager.image_bytes import Upload
from imagesvc.manager.operation import Operation
from imagesvc.manager.quota import QuotaManager
from imagesvc.manager.sweep import sweep

LOG = logging.getLogger(__name__)


def give_up(
    operation: Operation,
    backends: Backends,
    quotas: QuotaManager,
    image_id: str,
    upload: Upload,
    event: str,
) -> None:
    """Take the image through `event` if it is still this upload's; its bytes are removed."""
    objects = _undo(operation, quotas, image_id, upload, event)
    crashpoint("upload.given_up")
    sweep(operation.database, backends, objects)


@attempt.again
def _undo(
    operation: Operation, quotas: QuotaManager, image_id: str, upload: Upload, event: str
) -> list[tuple[str, str]]:
    """The rows of `give_up`; the objects that are nobody's by that."""
    place = (upload.store_id, upload.key)
    with operation.database.write() as conn:
        row = image_rows.get(conn, image_id, lock=True)
        if row is not None and row.status in IMAGE.of(event).sources:
            try:
                image_rows.transition(conn, image_id, event, upload_token=upload.token)
            except errors.Conflict:  # another upload has the image now
                LOG.info("Upload overtaken. image_id=%s", image_id)
        pending.remove(conn, *place)
        # Active after all, if the answer to the commit was lost on its way.
        taken = image_disk.holds(conn, *place)
        if not taken:
            doomed.add(conn, *place)
        quotas.release(conn, upload.token)
    return [] if taken else [place]
