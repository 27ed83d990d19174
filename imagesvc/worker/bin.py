"""Hands in a job for each image whose term in the bin is over."""

import uuid

from imagesvc import service as services
from imagesvc.db import lease

BATCH = 100


def run(service: services.Service) -> int:
    """One round of at most 100 images; how many jobs. One worker at a time does it."""
    with service.database.write() as conn:
        # Nobody prolongs a lease of a name that is used once: it ends when the next round is due.
        interval_s = service.conf.worker.reap_interval_s
        if not lease.acquire(conn, "bin", uuid.uuid4().hex, interval_s):
            return 0
    return service.bins.purge_due(BATCH)
