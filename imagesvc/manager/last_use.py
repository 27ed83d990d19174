"""When the bytes of images were last read: written beside the downloads, to the hour."""

import datetime
import functools
import logging
import threading
from collections.abc import Callable

from imagesvc.db import attempt, image_use, metadata
from imagesvc.db.engine import Database

LOG = logging.getLogger(__name__)

# Uses that come within this time are written together.
DELAY_S = 1.0
WAITING_MAX = 1000


class LastUses:
    """Thread-safe; one a process. No download waits for it.

    At most 1000 images wait; a use that finds no room, or cannot be written, is lost, and the
    next one counts. So is what a killed process had not written yet.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._waiting: set[str] = set()
        self._timer: threading.Timer | None = None

    def use(self, image_id: str, last_used_at: datetime.datetime | None) -> Callable[[], None]:
        """What notes a use of the image when it is called, if it comes to that."""
        return functools.partial(self.note, image_id, last_used_at)

    def note(self, image_id: str, last_used_at: datetime.datetime | None) -> None:
        """The image is used now, and was at `last_used_at`, as far as is written; returns at once."""
        if last_used_at is not None and metadata.now() - last_used_at < image_use.COARSE:
            return
        with self._lock:
            if image_id in self._waiting or len(self._waiting) >= WAITING_MAX:
                return
            self._waiting.add(image_id)
            if self._timer is None or not self._timer.is_alive():  # none lives on after a fork
                self._timer = threading.Timer(DELAY_S, self.write)
                self._timer.daemon = True
                self._timer.start()

    def write(self) -> None:
        """Write what waits, once for all processes; what fails is told to the log alone."""
        with self._lock:
            waiting, self._waiting = self._waiting, set()
            timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
        if not waiting:
            return
        try:
            self._touch(sorted(waiting))
        except Exception:  # no request waits for it; the next use is written
            LOG.warning("last use not written images=%s", len(waiting), exc_info=True)

    def close(self) -> None:
        """Write what waits, and start no more."""
        self.write()

    @attempt.again
    def _touch(self, image_ids: list[str]) -> None:
        with self._database.write() as conn:
            image_use.touch(conn, image_ids, metadata.now())
