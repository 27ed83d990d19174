"""Now and then rows and bytes are compared: a row without bytes is told, lost bytes are removed.

A writer that was overtaken removes its own bytes; one that is killed in that very moment leaves
bytes that no row names any more.
"""

import logging
import uuid

from imagesvc import errors
from imagesvc import service as services
from imagesvc.db import lease
from imagesvc.interface.errors import DriverError
from imagesvc.manager import store_verify

LOG = logging.getLogger(__name__)
# No writer that was overtaken lives on for a day.
AGE_S = 86_400.0


def run(service: services.Service) -> int:
    """Compare if it is time; how many differences were found."""
    with service.database.write() as conn:
        # The lease is the clock: a name of its own each time, and nobody gives it back.
        if not lease.acquire(
            conn, "reconcile", uuid.uuid4().hex, service.conf.worker.reconcile_interval_s
        ):
            return 0
    try:
        verdict = store_verify.verify(
            service.database, service.backends, older_than_s=AGE_S, repair=True
        )
    except (DriverError, errors.BackendFailed) as exc:  # next time
        LOG.warning("rows and bytes not compared: %s", exc)
        return 0
    for one in verdict.findings:
        level = logging.WARNING if one.repaired else logging.ERROR
        LOG.log(
            level, "rows and bytes differ fault=%s store=%s key=%s: %s",
            one.fault, one.store_id, one.key, one.text,
        )  # fmt: skip
    return len(verdict.findings)
