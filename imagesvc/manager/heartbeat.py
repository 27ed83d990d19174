"""The sign of life of an upload: without one for `upload_stale_s` the reaper takes it for dead."""

import logging
import threading
import time

from imagesvc import errors
from imagesvc.db import engine
from imagesvc.db import image as image_rows
from imagesvc.manager.image_bytes import Upload
from imagesvc.manager.operation import Operation
from imagesvc.manager.quota import QuotaManager

LOG = logging.getLogger(__name__)

INTERVAL_MAX_S = 5.0
# A sign is at most two intervals late; the others are for a database that is slow.
_SIGNS = 6


def interval_s(upload_stale_s: float) -> float:
    """Seconds between two signs of uploads that count as dead after `upload_stale_s`."""
    return min(INTERVAL_MAX_S, upload_stale_s / _SIGNS)


class Heartbeat:
    """Told of each block: says now and then that the upload is alive.

    A context manager: while it lasts a thread says so too where no block comes, be it that the
    client is slow, that a tool looks at the image, or that the store takes its time to commit.

    Bytes that nobody announced are held against the room that the project has, with each sign
    of life and as soon as they are more than there was; they count when the image is whole.
    A database that is away for a moment ends no upload, as long as there was room for the bytes.
    Raises ImageGone once the image is deleted or another's, QuotaExceeded; where there is none
    to raise it to, the next block or the last transaction does.
    """

    def __init__(
        self,
        operation: Operation,
        quotas: QuotaManager,
        image_id: str,
        upload: Upload,
        interval: float,
    ) -> None:
        self._operation = operation
        self._quotas = quotas
        self._image_id = image_id
        self._upload = upload
        self._interval_s = interval
        self._next = time.monotonic() + interval
        self._room = upload.room
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="upload-heartbeat", daemon=True)

    def __enter__(self) -> "Heartbeat":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def __call__(self, done_bytes: int) -> None:
        passed = self._room is not None and done_bytes > self._room
        if time.monotonic() < self._next and not passed:
            return
        self._next = time.monotonic() + self._interval_s
        try:
            alive = self._beat(done_bytes)
        except Exception as exc:  # the database may be back for the next beat, or for the end
            if passed or not engine.is_transient(exc):
                raise
            LOG.warning("no sign of life of an upload image_id=%s: %s", self._image_id, exc)
            return
        if not alive:
            raise errors.ImageGone(image_id=self._image_id)

    def _beat(self, done_bytes: int) -> bool:
        with self._operation.database.write() as conn:
            if self._upload.size_bytes is None:
                self._room = self._quotas.room(conn, self._upload.owner, done_bytes)
            return image_rows.heartbeat(conn, self._image_id, self._upload.token)

    def _keep(self) -> None:
        while not self._ended.wait(self._interval_s):
            if time.monotonic() < self._next:
                continue
            try:
                with self._operation.database.write() as conn:
                    image_rows.heartbeat(conn, self._image_id, self._upload.token)
            except Exception:  # no request waits for it; the next sign may go through
                LOG.warning("no sign of life written image_id=%s", self._image_id, exc_info=True)
