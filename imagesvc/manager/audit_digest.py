"""HMAC-SHA256 of audit records and of the chain that seals them."""

import hashlib
import hmac

from imagesvc.db import metadata
from imagesvc.db.audit import AuditRecord


def record_digest(key: bytes, record: AuditRecord) -> str:
    """HMAC over every fact of a record, in hex."""
    facts = [
        record.event_id,
        record.created_at.isoformat(),
        record.action,
        record.outcome,
        record.target_type,
        record.target_id,
        record.project_id,
        record.user_id,
        record.owner_project_id,
        record.request_id,
        dict(record.detail),
    ]
    return hmac.new(key, metadata.canonical(facts).encode(), hashlib.sha256).hexdigest()


def chain_digest(key: bytes, previous: str, number: int, record: AuditRecord) -> str:
    """HMAC of one link: the link before, the number, and the record's own digest."""
    text = f"{previous}\n{number}\n{record.id}\n{record.hmac}".encode()
    return hmac.new(key, text, hashlib.sha256).hexdigest()
