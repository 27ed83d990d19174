"""Numbers audit records and chains them, seconds after they were written."""

import logging
import os
import socket
from typing import Any

from imagesvc import service as services
from imagesvc.db import audit_seal as seal_rows
from imagesvc.db import lease
from imagesvc.manager import audit_digest, audit_head

LOG = logging.getLogger(__name__)
BATCH = 500
LEASE_S = 60.0


def run(service: services.Service) -> int:
    """Seal what waits; how many. One worker at a time does it."""
    me = f"{socket.gethostname()}:{os.getpid()}"
    total = 0
    while True:
        with service.database.write() as conn:
            if not lease.acquire(conn, "seal", me, LEASE_S):
                return total
            count = _seal(conn, service.audit_key)
        total += count
        if count < BATCH:
            return total


def _seal(conn: Any, key: bytes) -> int:
    waiting = seal_rows.unsealed(conn, BATCH)
    if not waiting:
        return 0
    number, chain, signs = _end(conn, key)
    seals = []
    for record in waiting:
        number += 1
        chain = audit_digest.chain_digest(key, chain, number, record.id, record.hmac)
        seals.append((number, record.id, chain))
        if not audit_digest.same(audit_digest.record_digest(key, record), record.hmac):
            LOG.error("audit record is not as it was written id=%s number=%s", record.id, number)
    seal_rows.seal(conn, seals)
    if signs:
        seal_rows.set_head(conn, audit_head.sign(key, number, chain))
    return len(seals)


def _end(conn: Any, key: bytes) -> tuple[int, str, bool]:
    """Where the chain ends, and whether its head may be signed anew.

    The head decides: seals cut off before it leave a gap for ever, as no number comes again.
    A head that is wrong or gone stays so, since a new one would hide what was cut off.
    """
    last = seal_rows.last_seal(conn)
    head = seal_rows.get_head(conn)
    if head is None and last == (0, ""):
        return (0, "", True)
    if head is not None and audit_head.fits(key, head):
        if head.number >= last[0]:
            return (head.number, head.chain, True)
        LOG.error("audit seals stand behind the signed head number=%s", head.number)
    else:
        LOG.error(
            "the audit trail's signed head is wrong or gone: run imagesvc-manage audit verify"
        )
    return (*last, False)
