"""Bytes that were doomed are removed at once; what cannot be removed now waits for the reaper."""

import itertools
import logging
from collections.abc import Iterable

from imagesvc import errors
from imagesvc.backend.registry import Backends
from imagesvc.db import doomed
from imagesvc.db.engine import Database
from imagesvc.interface.errors import DriverError

LOG = logging.getLogger(__name__)
# Somebody waits for it, and a resumable upload may have thousands of parts.
_AT_ONCE_MAX = 256


def sweep(database: Database, backends: Backends, objects: Iterable[tuple[str, str]]) -> None:
    """Remove doomed objects, each (store id, storage key); never raises for a store that fails.

    Of many the first 256: the others wait for the reaper.
    """
    for store_id, key in itertools.islice(objects, _AT_ONCE_MAX):
        try:
            backends.storage(store_id).delete(key)
        except (DriverError, errors.ImagesvcError) as exc:  # the row keeps the work
            LOG.warning("Bytes left for the reaper. store=%s key=%s: %s", store_id, key, exc)
            continue
        with database.write() as conn:
            doomed.remove(conn, store_id, key)
