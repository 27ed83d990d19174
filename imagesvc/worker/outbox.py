"""Sealed audit records to the sinks: in order, at least once, each sink at its own pace."""

import logging
import os
import socket

from imagesvc import service as services
from imagesvc.db import audit as audit_rows
from imagesvc.db import audit_seal as seal_rows
from imagesvc.db import lease
from imagesvc.interface.audit_sink import AuditEvent, AuditSink
from imagesvc.interface.errors import DriverError

LOG = logging.getLogger(__name__)
BATCH = 200
LEASE_S = 120.0


def run(service: services.Service) -> int:
    """Send what each sink has not taken yet; how many records were sent."""
    me = f"{socket.gethostname()}:{os.getpid()}"
    with service.database.write() as conn:
        if not lease.acquire(conn, "outbox", me, LEASE_S):
            return 0
    total = 0
    for sink in service.backends.audit_sinks():
        try:
            total += _drain(service, sink)
        except DriverError as exc:  # the cursor stays, the batch comes again
            LOG.warning("audit sink fails sink=%s: %s", sink.backend_id, exc.operator_message)
    return total


def _drain(service: services.Service, sink: AuditSink) -> int:
    total = 0
    while True:
        with service.database.read() as conn:
            after = seal_rows.get_cursor(conn, sink.backend_id)
            page = seal_rows.list_sealed(conn, after, BATCH)
        if not page:
            return total
        sink.emit([_event(record) for record in page])
        with service.database.write() as conn:
            seal_rows.set_cursor(conn, sink.backend_id, page[-1].number or after)
        total += len(page)


def _event(record: audit_rows.AuditRecord) -> AuditEvent:
    return AuditEvent(
        event_id=record.event_id,
        created_at=record.created_at,
        action=record.action,
        outcome=record.outcome,
        target_type=record.target_type,
        target_id=record.target_id,
        project_id=record.project_id,
        user_id=record.user_id,
        request_id=record.request_id,
        detail=record.detail,
    )
