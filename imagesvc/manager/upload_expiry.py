"""Resumable uploads that nobody went on with in time."""

import datetime
from typing import Any

from imagesvc.db import image as image_rows
from imagesvc.db import region_image as region_image_rows
from imagesvc.db import upload as upload_rows
from imagesvc.manager import region_arrival, upload_end
from imagesvc.manager.quota import QuotaManager


def expire(conn: Any, quotas: QuotaManager, upload_id: str, now: datetime.datetime) -> bool:
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
    coming = region_image_rows.get(conn, upload.image_id)
    if coming is None or region_arrival.give_up(conn, quotas, upload.image_id) is None:
        upload_end.end(conn, quotas, upload)
    return True
