"""The signed head of the audit trail: what the newest seal is, so that a cut tail is seen."""

from imagesvc.db import audit_seal as seal_rows
from imagesvc.db.engine import Database
from imagesvc.manager import audit_digest

# The schema that brought the head; a trail of an older one gets its head at the upgrade.
SCHEMA_VERSION = "0005"


def sign(key: bytes, number: int, chain: str) -> seal_rows.Head:
    """The head of this seal."""
    return seal_rows.Head(number, chain, audit_digest.head_digest(key, number, chain))


def fits(key: bytes, head: seal_rows.Head | None) -> bool:
    """Whether there is a head, and this key signed it."""
    return head is not None and audit_digest.same(
        audit_digest.head_digest(key, head.number, head.chain), head.hmac
    )


def adopt(database: Database, key: bytes) -> None:
    """Sign the newest seal of a trail that never had a head.

    For the upgrade alone: at any other time a head that is gone is a fault to be told.
    """
    with database.write() as conn:
        number, chain = seal_rows.last_seal(conn)
        if number and seal_rows.get_head(conn) is None:
            seal_rows.set_head(conn, sign(key, number, chain))
