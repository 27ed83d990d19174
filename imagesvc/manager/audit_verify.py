"""Whether the audit trail is whole: each record's HMAC, the numbers, the chain, its head."""

import dataclasses
import datetime
from collections.abc import Callable

from imagesvc import errors
from imagesvc.db import audit_seal as seal_rows
from imagesvc.db.audit import AuditRecord
from imagesvc.db.audit_list import AuditQuery, list_page
from imagesvc.db.engine import Database
from imagesvc.manager import audit_digest, audit_head

PAGE = 1000
WRONG_KEY = (
    "No record fits the key of [service] key_file: it is not the key that signed this trail. "
    "Restore the key file from the backup; a new one cannot check what an old one signed."
)


@dataclasses.dataclass(slots=True)
class Verdict:
    """What was found; `unsealed` records wait for their seal since `unsealed_since`.

    `head` is number:chain of the newest seal, to be kept elsewhere and given next time.
    """

    sealed: int = 0
    unsealed: int = 0
    unsealed_since: datetime.datetime | None = None
    faults: int = 0
    head: str = ""


class Verifier:
    """Reads the whole trail, a page a transaction, in memory that does not grow with it.

    `tell` gets a sentence for each fault as it is found, `progress` the number of records
    and seals that were read.
    """

    def __init__(
        self,
        database: Database,
        key: bytes,
        tell: Callable[[str], None],
        progress: Callable[[int], None] = lambda count: None,
    ) -> None:
        self._database = database
        self._key = key
        self._tell = tell
        self._progress = progress
        self._verdict = Verdict()
        self._read = 0

    def verify(self, known_head: str = "") -> Verdict:
        """Check everything; `known_head` is what an earlier verdict called its head.

        Raises ConfigurationError if nothing fits the key, InvalidRequest for another head.
        """
        known = _parse_head(known_head)
        with self._database.read() as conn:
            head = seal_rows.get_head(conn)
            cursors = seal_rows.cursors(conn)
        self._check_key(head)
        self._check_head(head)
        self._check_records()
        last = self._check_chain([(point.number, point.chain) for point in (head, known) if point])
        if head is None and last:
            self._complain("the signed head is gone: seals may have been cut off")
        for name, number in (
            ("the signed head names", head.number if head else 0),
            ("the head that was given names", known.number if known else 0),
            *((f"sink {sink} took", number) for sink, number in sorted(cursors.items())),
        ):
            if number > last:
                self._complain(f"numbers {last + 1} to {number}, the newest, are gone: {name} them")
        with self._database.read() as conn:
            self._verdict.unsealed, self._verdict.unsealed_since = seal_rows.unsealed_since(conn)
        return self._verdict

    def _complain(self, text: str) -> None:
        self._verdict.faults += 1
        self._tell(text)

    def _count(self, page: int) -> None:
        self._read += page
        self._progress(self._read)

    def _fits(self, record: AuditRecord) -> bool:
        return audit_digest.same(audit_digest.record_digest(self._key, record), record.hmac)

    def _check_key(self, head: seal_rows.Head | None) -> None:
        """A wrong key is told once, not once a record: neither end of the trail fits it."""
        if audit_head.fits(self._key, head):
            return
        with self._database.read() as conn:
            ends = seal_rows.list_written(conn, 0, PAGE)
            ends += list_page(conn, AuditQuery(limit=PAGE))
        if ends and not any(self._fits(record) for record in ends):
            raise errors.ConfigurationError(WRONG_KEY)

    def _check_head(self, head: seal_rows.Head | None) -> None:
        if head is not None and not audit_head.fits(self._key, head):
            self._complain(
                "the signed head was changed, or another key signed it: seals may have been cut off"
            )

    def _check_records(self) -> None:
        after, misfits, prefix, held = 0, 0, 0, False
        while True:
            with self._database.read() as conn:
                page = seal_rows.list_written(conn, after, PAGE)
            for record in page:
                after = record.id
                if self._fits(record):
                    held = True
                    continue
                misfits, prefix = misfits + 1, prefix + (not held)
                self._complain(f"{_name(record)} was changed or is not of this service")
            self._count(len(page))
            if len(page) < PAGE:
                break
        if held and 1 < prefix == misfits:
            self._complain(
                f"the first {prefix} records fail and all after them hold, as if the key file had "
                "been replaced then: one key must serve a trail for its whole life"
            )
        self._check_strays()

    def _check_strays(self) -> None:
        with self._database.scan() as conn:
            for id_, event_id in seal_rows.strays(conn):
                self._complain(f"record {event_id} (id {id_}) has no seal and waits for none")
            for id_ in seal_rows.lost(conn):
                self._complain(f"a record (id {id_}) that waited for its seal is gone")
            for id_, event_id in seal_rows.doubles(conn):
                self._complain(f"record {event_id} (id {id_}) stands there twice")

    def _check_chain(self, points: list[tuple[int, str]]) -> int:
        """Follow the seals; the number of the last."""
        number, chain = 0, ""
        while True:
            with self._database.read() as conn:
                page = seal_rows.list_links(conn, number, PAGE)
            for link in page:
                if link.number != number + 1:
                    self._complain(f"{_range(number + 1, link.number - 1)} missing")
                elif not self._link_fits(chain, link):
                    self._complain(
                        f"number {link.number} (record id {link.audit_id}) does not fit its "
                        "place: the record or a seal was moved or replaced"
                    )
                if link.record_hmac is None:
                    self._complain(
                        f"the record of number {link.number} (id {link.audit_id}) is gone"
                    )
                number, chain = link.number, link.chain
                if any(at == number and chain != wanted for at, wanted in points):
                    self._complain(f"number {number} is not the one that its head names")
                self._verdict.sealed += 1
            self._count(len(page))
            if len(page) < PAGE:
                break
        self._verdict.head = f"{number}:{chain}" if number else ""
        return number

    def _link_fits(self, previous: str, link: seal_rows.Link) -> bool:
        if link.record_hmac is None:
            return True  # told as gone; what it was cannot be computed
        digest = audit_digest.chain_digest(
            self._key, previous, link.number, link.audit_id, link.record_hmac
        )
        return audit_digest.same(digest, link.chain)


def _name(record: AuditRecord) -> str:
    place = f"number {record.number}" if record.number else "not sealed yet"
    return f"record {record.event_id} (id {record.id}, {place})"


def _range(first: int, last: int) -> str:
    return f"number {first} is" if first == last else f"numbers {first} to {last} are"


def _parse_head(text: str) -> seal_rows.Head | None:
    if not text:
        return None
    number, colon, chain = text.partition(":")
    if not (colon and chain and number.isascii() and number.isdigit()):
        raise errors.InvalidRequest("A head is number:chain, as an earlier check printed it.")
    return seal_rows.Head(int(number), chain, "")
