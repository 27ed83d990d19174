"""Resumable uploads that nobody went on with in time."""

import datetime
from typing import Any

from imagesvc.context import service_context
from imagesvc.db import image as image_rows
from imagesvc.db import region_image as region_image_rows
from imagesvc.db import upload as upload_rows
from imagesvc.manager import region_arrival, upload_end
from imagesvc.manager.operation import Operation
from imagesvc.manager.quota import QuotaManager


def expire(
    conn: Any,
    operation: Operation,
    quotas: QuotaManager,
    upload_id: str,
    now: datetime.datetime,
) -> bool:
    """Give an upload up if it is still expired; False if somebody went on with it, or ended it.

    An image that was to come from another region is deleted: nobody here can send its bytes.
    """
    found = upload_rows.get(conn, upload_id)
    if found is None:
        return False
    image_rows.get(conn, found.image_id, lock=True)  # the first lock, as elsewhere
    upload = upload_rows.get(conn, upload_id, lock=True)
    if upload is None or not upload_rows.is_expired(conn, upload_id, now):
        return False
    if region_image_rows.get(conn, upload.image_id) is None or not _given_up(
        conn, operation, quotas, upload.image_id
    ):
        upload_end.end(conn, quotas, upload)
    return True


def _given_up(conn: Any, operation: Operation, quotas: QuotaManager, image_id: str) -> bool:
    ctx, cause = service_context(), "Its upload expired."
    return region_arrival.give_up(conn, ctx, operation, quotas, image_id, cause) is not None
