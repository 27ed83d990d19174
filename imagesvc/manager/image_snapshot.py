"""Images and their disks as they were last read, for as long as they have not changed.

Whoever reads an image in thousands of ranges asks for the same rows each time. One small
statement says whether the caller may still see the image, and whether it is still the same.
"""

import datetime
import threading
from typing import Any, NamedTuple

from imagesvc import errors
from imagesvc.db import image as image_rows
from imagesvc.db import image_disk
from imagesvc.domain.image import Image, ImageDisk

KEPT_MAX = 512


class Snapshot(NamedTuple):
    """An image, its disks, and when it was last used: that moves without a change of the image."""

    image: Image
    disks: tuple[ImageDisk, ...]
    last_used_at: datetime.datetime | None = None


class ImageSnapshots:
    """Thread-safe; one a process. Holds at most 512 images, the oldest readings go first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: dict[str, Snapshot] = {}

    def get(self, conn: Any, image_id: str, predicate: Any = None) -> Snapshot:
        """An image that is `predicate`, and its disks, as they are now.

        Every change of an image, of its disks and their locations raises its revision.
        Raises ImageNotFound.
        """
        mark = image_rows.mark(conn, image_id, predicate)
        kept = self._kept.get(image_id)
        if mark is not None and (kept is None or kept.image.revision != mark.revision):
            kept = self._read(conn, image_id)
        if mark is None or kept is None:
            with self._lock:
                self._kept.pop(image_id, None)
            raise errors.ImageNotFound(image_id=image_id)
        return kept._replace(last_used_at=mark.last_used_at)

    def _read(self, conn: Any, image_id: str) -> Snapshot | None:
        # The image before its disks: disks that are newer than it are never taken for its own
        # again, for by then the image has another revision.
        image = image_rows.get(conn, image_id)
        if image is None:
            return None
        found = Snapshot(image, image_disk.list_for(conn, image_id))
        with self._lock:
            self._kept.pop(image_id, None)
            self._kept[image_id] = found
            if len(self._kept) > KEPT_MAX:
                del self._kept[next(iter(self._kept))]
        return found
