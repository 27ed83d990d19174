"""Whether the audit trail is whole: each record's HMAC, the numbers, the chain of seals."""

import dataclasses
import datetime
import hmac

from imagesvc.db import audit as audit_rows
from imagesvc.db.engine import Database
from imagesvc.manager import audit_digest

PAGE = 1000
COMPLAINTS_MAX = 100


@dataclasses.dataclass(slots=True)
class Verdict:
    """What was found; `unsealed` records wait for their seal since `unsealed_since`."""

    sealed: int = 0
    unsealed: int = 0
    unsealed_since: datetime.datetime | None = None
    complaints: list[str] = dataclasses.field(default_factory=list)

    def complain(self, text: str) -> None:
        """Note a fault; after the first hundred the rest adds nothing."""
        if len(self.complaints) < COMPLAINTS_MAX:
            self.complaints.append(text)


def verify(database: Database, key: bytes) -> Verdict:
    """Read the whole trail, oldest first, a page a transaction."""
    verdict = Verdict()
    number, chain = 0, ""
    while True:
        with database.read() as conn:
            page = audit_rows.list_sealed(conn, number, PAGE)
        if not page:
            break
        for record in page:
            _check_record(verdict, key, record)
            if record.number != number + 1:
                verdict.complain(f"records {number + 1} to {(record.number or 0) - 1} are missing")
            wanted = audit_digest.chain_digest(key, chain, record.number or 0, record)
            if not hmac.compare_digest(wanted, record.chain or ""):
                verdict.complain(f"the seal of record {record.number} does not fit the one before")
            number, chain = record.number or 0, record.chain or ""
            verdict.sealed += 1
    with database.read() as conn:
        verdict.unsealed, verdict.unsealed_since = audit_rows.unsealed_since(conn)
        for record in audit_rows.unsealed(conn, PAGE):
            _check_record(verdict, key, record)
    return verdict


def _check_record(verdict: Verdict, key: bytes, record: audit_rows.AuditRecord) -> None:
    if not hmac.compare_digest(audit_digest.record_digest(key, record), record.hmac):
        verdict.complain(f"record {record.event_id} was changed")
