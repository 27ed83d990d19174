"""Compares the counters of quotas with the rows, now and then, and mends them."""

import logging
import uuid

from imagesvc import service as services
from imagesvc.db import lease
from imagesvc.manager import quota_verify

LOG = logging.getLogger(__name__)


def run(service: services.Service) -> int:
    """One round, if the last one is `verify_interval_s` old; how many counters were wrong."""
    # Nobody prolongs a lease of a name that is used once: it ends when the next round is due.
    interval_s = service.conf.quota.verify_interval_s
    with service.database.write() as conn:
        if not lease.acquire(conn, "quota", uuid.uuid4().hex, interval_s):
            return 0
    found = quota_verify.verify(service.database, mend=True)
    for one in found:
        LOG.warning(
            "quota counter mended project_id=%s resource=%s counted=%s actual=%s",
            one.project_id, one.resource, one.counted, one.actual,
        )  # fmt: skip
    return len(found)
