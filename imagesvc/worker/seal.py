"""Numbers audit records and chains them, seconds after they were written."""

import os
import socket

from imagesvc import service as services
from imagesvc.db import audit as audit_rows
from imagesvc.db import lease
from imagesvc.manager import audit_digest

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
            number, chain = audit_rows.last_seal(conn)
            seals = []
            for record in audit_rows.unsealed(conn, BATCH):
                number += 1
                chain = audit_digest.chain_digest(service.audit_key, chain, number, record)
                seals.append((number, record.id, chain))
            audit_rows.seal(conn, seals)
        total += len(seals)
        if len(seals) < BATCH:
            return total
