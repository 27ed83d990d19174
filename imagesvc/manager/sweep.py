"""Bytes that were doomed are removed at once; what cannot be removed now waits for the reaper."""

import logging
from collections.abc import Iterable

from imagesvc import errors
from imagesvc.backend.registry import Backends
from imagesvc.db import doomed
from imagesvc.db.engine import Database
from imagesvc.interface.errors import DriverError

LOG = logging.getLogger(__name__)


def sweep(database: Database, backends: Backends, objects: Iterable[tuple[str, str]]) -> None:
    """Remove doomed objects, each (store id, storage key); never raises for a store that fails."""
    for store_id, key in objects:
        try:
            backends.storage(store_id).delete(key)
        except (DriverError, errors.ImagesvcError) as exc:  # the row keeps the work
            LOG.warning("Bytes left for the reaper. store=%s key=%s: %s", store_id, key, exc)
            continue
        with database.write() as conn:
            doomed.remove(conn, store_id, key)
