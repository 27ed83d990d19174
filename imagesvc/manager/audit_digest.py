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
    return _digest(key, metadata.canonical(facts))


def chain_digest(key: bytes, previous: str, number: int, audit_id: int, record_hmac: str) -> str:
    """HMAC of one link: the link before, the number, the record's id and its own digest."""
    return _digest(key, f"{previous}\n{number}\n{audit_id}\n{record_hmac}")


def head_digest(key: bytes, number: int, chain: str) -> str:
    """HMAC of the head: number and chain of the newest seal."""
    return _digest(key, f"head\n{number}\n{chain}")


def same(wanted: str, found: str | None) -> bool:
    """Whether two digests are equal, in constant time; what is no digest equals none."""
    return hmac.compare_digest(wanted.encode(), (found or "").encode())


def _digest(key: bytes, text: str) -> str:
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
