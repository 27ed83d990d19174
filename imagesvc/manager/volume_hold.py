"""One action at a time on a volume, whatever process of the service it comes to.

Volume and server are told one after the other: another action in between would leave a volume free
that a server writes to.
"""

import contextlib
import hashlib
import logging
import threading
import time
import uuid
from collections.abc import Iterator

from imagesvc.db import attempt, engine, lease
from imagesvc.interface.errors import Busy

LOG = logging.getLogger(__name__)

# What a killed process held is free again after so long, and who comes after it waits longer.
LEASE_S = 6.0
WAIT_S = 8.0
_RENEW_S = 2.0
_PAUSE_S = 0.1


@contextlib.contextmanager
def hold(database: engine.Database, project_id: str, volume_id: str) -> Iterator[None]:
    """Be the only one who acts on it. Raises Busy while another does."""
    digest = hashlib.sha256(f"{project_id}/{volume_id}".encode()).hexdigest()
    name, me = f"volume:{digest}", uuid.uuid4().hex
    deadline = time.monotonic() + WAIT_S
    while not _take(database, name, me):
        if time.monotonic() > deadline:
            raise Busy(f"Another action on volume {volume_id} is under way.")
        time.sleep(_PAUSE_S)
    over = threading.Event()
    keeper = threading.Thread(target=_keep, args=(database, name, me, over), daemon=True)
    keeper.start()
    try:
        yield
    finally:
        over.set()
        keeper.join()
        _give_back(database, name, me)


@attempt.again
def _take(database: engine.Database, name: str, me: str) -> bool:
    with database.write() as conn:
        return lease.acquire(conn, name, me, LEASE_S)


def _keep(database: engine.Database, name: str, me: str, over: threading.Event) -> None:
    """Prolong the lease until the action is over."""
    while not over.wait(_RENEW_S):
        try:
            if not _take(database, name, me):
                LOG.warning("lease lost name=%s", name)
        except Exception:  # no request waits for it; the next one may go through
            LOG.warning("lease not prolonged name=%s", name, exc_info=True)


def _give_back(database: engine.Database, name: str, me: str) -> None:
    try:
        with database.write() as conn:
            lease.release(conn, name, me)
    except Exception as exc:  # the action is over, and the lease lapses by itself
        if not engine.is_transient(exc):
            raise
        LOG.warning("lease not given back name=%s: %s", name, exc)
