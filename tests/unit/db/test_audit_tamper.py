"""Whoever tampers with the trail inside the database is found, and the record is named."""

import re
import types

import pytest
import sqlalchemy as sa

from imagesvc import errors
from imagesvc.context import RequestContext
from imagesvc.db import audit_seal
from imagesvc.manager import audit_head, audit_verify
from imagesvc.manager.operation import Operation, Step
from imagesvc.worker import seal

KEY = b"k" * 32
CALLER = RequestContext("user", "project", request_id="req-1")
SQLITE_TRIGGERS = [
    f"{table}_no_{verb}" for table in ("audit", "audit_seal") for verb in ("update", "delete")
]


class Trail:
    """A trail, and somebody who may do anything to its tables."""

    def __init__(self, database):
        self.database = database
        self.key = KEY
        self.told = []

    def write(self, count=1, key=None):
        """Records as the service writes them."""
        operation = Operation(self.database, key or self.key)
        for n in range(count):
            with self.database.write() as conn:
                step = Step(conn, f"image-{n}", detail={"n": n})
                operation.record(conn, CALLER, "image:create", "image", step, "success")

    def seal(self, key=None):
        """One round of the sealing worker."""
        return seal.run(types.SimpleNamespace(database=self.database, audit_key=key or self.key))

    def tamper(self, *statements):
        """Statements behind the service's back, its triggers and keys gone."""
        # An engine of its own: on SQLite it checks no foreign keys.
        engine = sa.create_engine(self.database.engine.url)
        with engine.connect() as conn:
            if self.database.dialect == "sqlite":
                for name in SQLITE_TRIGGERS:
                    conn.exec_driver_sql(f"DROP TRIGGER IF EXISTS {name}")
            else:
                for table in ("audit", "audit_seal"):
                    conn.exec_driver_sql(f"DROP TRIGGER IF EXISTS {table}_append_only ON {table}")
                conn.exec_driver_sql(
                    "ALTER TABLE audit_seal DROP CONSTRAINT IF EXISTS fk_audit_seal_audit_id"
                )
            for statement in statements:
                conn.exec_driver_sql(statement)
            conn.commit()
        engine.dispose()

    def verify(self, key=None, head=""):
        """The verdict; what was told stands in `told`."""
        self.told = []
        checker = audit_verify.Verifier(self.database, key or self.key, self.told.append)
        return checker.verify(head)

    def numbers(self):
        """Number -> (id, event id)."""
        with self.database.read() as conn:
            return {
                row.number: (row.id, row.event_id) for row in audit_seal.list_sealed(conn, 0, 100)
            }


@pytest.fixture
def trail(database, monkeypatch):
    """Ten sealed records and two that wait; pages of three, so that seams are crossed."""
    monkeypatch.setattr(audit_verify, "PAGE", 3)
    made = Trail(database)
    made.write(10)
    assert made.seal() == 10
    made.write(2)
    return made


def test_a_trail_that_nobody_touched_is_whole(trail):
    verdict = trail.verify()
    assert (verdict.sealed, verdict.unsealed, trail.told) == (10, 2, [])
    assert verdict.unsealed_since is not None
    assert trail.seal() == 2
    trail.write()
    trail.seal()
    assert (trail.verify(head=verdict.head).sealed, trail.told) == (13, [])


@pytest.mark.parametrize(
    "change",
    ["outcome = 'denied'", "detail = '{}'", "user_id = NULL", "owner_project_id = 'x'",
     "hmac = 'ab'", "hmac = 'ü'"],
)  # fmt: skip
def test_an_edited_record_is_named(trail, change):
    id_, event_id = trail.numbers()[7]
    trail.tamper(f"UPDATE audit SET {change} WHERE id = {id_}")
    assert trail.verify().faults >= 1
    assert f"record {event_id} (id {id_}, number 7) was changed" in trail.told[0]
    assert not [text for text in trail.told if "7" not in text]


def test_an_edited_record_that_waits_for_its_seal_is_named(trail):
    trail.write(7)
    trail.tamper("UPDATE audit SET action = 'x' WHERE id = (SELECT max(id) FROM audit)")
    assert trail.verify().faults == 1
    assert "not sealed yet) was changed" in trail.told[0]


def test_a_deleted_record_is_named_by_its_number(trail):
    id_, _ = trail.numbers()[4]
    trail.tamper(f"DELETE FROM audit WHERE id = {id_}")
    trail.verify()
    assert trail.told == [f"the record of number 4 (id {id_}) is gone"]


def test_records_deleted_with_their_seals_leave_a_gap(trail):
    ids = ", ".join(str(trail.numbers()[n][0]) for n in (4, 5))
    trail.tamper(
        f"DELETE FROM audit_seal WHERE audit_id IN ({ids})",
        f"DELETE FROM audit WHERE id IN ({ids})",
    )
    trail.verify()
    assert trail.told == ["numbers 4 to 5 are missing"]


@pytest.mark.parametrize("later", [False, True])
def test_a_tail_that_was_cut_off_is_seen_also_when_more_was_sealed(trail, later):
    cut = "(SELECT audit_id FROM audit_seal WHERE number > 8)"
    trail.tamper(f"DELETE FROM audit WHERE id IN {cut}", "DELETE FROM audit_seal WHERE number > 8")
    if later:
        trail.write(3)
        trail.seal()
    assert trail.verify().faults == 1
    if later:
        assert trail.told == ["numbers 9 to 10 are missing"]
    else:
        assert trail.told == ["numbers 9 to 10, the newest, are gone: the signed head names them"]


def test_a_record_that_lost_its_seal_is_named(trail):
    id_, event_id = trail.numbers()[10]
    trail.tamper("DELETE FROM audit_seal WHERE number = 10")
    trail.verify()
    assert f"record {event_id} (id {id_}) has no seal and waits for none" in trail.told


def test_a_waiting_record_without_its_note_or_the_other_way_round_is_named(trail):
    trail.tamper(
        "DELETE FROM audit WHERE id = (SELECT min(audit_id) FROM audit_unsealed)",
        "DELETE FROM audit_unsealed WHERE audit_id = (SELECT max(id) FROM audit)",
    )
    trail.verify()
    assert len(trail.told) == 2
    assert "has no seal and waits for none" in trail.told[0]
    assert "that waited for its seal is gone" in trail.told[1]


def test_exchanged_seals_are_named_by_their_numbers(trail):
    two, six = trail.numbers()[2][0], trail.numbers()[6][0]
    trail.tamper(
        "UPDATE audit_seal SET audit_id = -1 WHERE number = 2",
        f"UPDATE audit_seal SET audit_id = {two} WHERE number = 6",
        f"UPDATE audit_seal SET audit_id = {six} WHERE number = 2",
    )
    trail.verify()
    assert [re.findall(r"number (\d+) \(record id (\d+)\) does not fit", t) for t in trail.told] == [
        [("2", str(six))], [("6", str(two))],
    ]  # fmt: skip


def test_exchanged_records_are_named_by_their_numbers(trail):
    two, six = trail.numbers()[2][0], trail.numbers()[6][0]
    trail.tamper(
        f"UPDATE audit SET id = -1 WHERE id = {two}",
        f"UPDATE audit SET id = {two} WHERE id = {six}",
        f"UPDATE audit SET id = {six} WHERE id = -1",
    )
    trail.verify()
    assert [text.split()[1] for text in trail.told] == ["2", "6"]


def test_a_record_of_somebody_else_is_named_also_when_it_was_sealed(trail):
    columns = (
        "created_at, action, outcome, target_type, target_id, project_id, user_id, "
        "owner_project_id, request_id, detail, hmac"
    )
    trail.tamper(
        f"INSERT INTO audit (event_id, {columns}) SELECT 'forged', {columns} FROM audit "
        "WHERE id = (SELECT min(id) FROM audit)"
    )
    for place in ("not sealed yet", "number 13"):
        trail.verify()
        assert len(trail.told) == 1
        assert re.fullmatch(rf"record forged \(id \d+, {place}\) was changed .*", trail.told[0])
        trail.seal()


def test_a_record_that_stands_there_twice_is_named(postgresql):
    """SQLite cannot drop the constraint that forbids it."""
    trail = Trail(postgresql)
    trail.write(3)
    trail.seal()
    columns = (
        "event_id, created_at, action, outcome, target_type, target_id, project_id, user_id, "
        "owner_project_id, request_id, detail, hmac"
    )
    trail.tamper(
        "ALTER TABLE audit DROP CONSTRAINT uq_audit_event_id",
        f"INSERT INTO audit ({columns}) SELECT {columns} FROM audit "
        "WHERE id = (SELECT min(id) FROM audit)",
    )
    trail.verify()
    assert len(trail.told) == 1
    assert f"record {trail.numbers()[1][1]} (id" in trail.told[0]
    assert "stands there twice" in trail.told[0]


@pytest.mark.parametrize("change", ["number = 8", "chain = 'ab'", "hmac = 'ab'"])
def test_a_changed_head_is_told_and_stays_told(trail, change):
    trail.tamper(f"UPDATE audit_head SET {change}")
    for _ in range(2):
        trail.verify()
        assert "the signed head was changed" in trail.told[0]
        trail.seal()


def test_a_head_that_is_gone_is_told_and_stays_told(trail):
    trail.tamper("DELETE FROM audit_head")
    for _ in range(2):
        trail.verify()
        assert trail.told == ["the signed head is gone: seals may have been cut off"]
        trail.seal()


def test_an_older_head_put_back_with_its_tail_is_seen_by_a_kept_head_and_by_sinks(trail):
    with trail.database.read() as conn:
        old = audit_seal.get_head(conn)
    trail.seal()
    kept = trail.verify().head
    with trail.database.write() as conn:
        audit_seal.set_cursor(conn, "far", 12)
    trail.tamper(
        "DELETE FROM audit_seal WHERE number > 10",
        f"DELETE FROM audit WHERE id > {trail.numbers()[10][0]}",
        f"UPDATE audit_head SET number = 10, chain = '{old.chain}', hmac = '{old.hmac}'",
    )
    trail.verify(head=kept)
    assert trail.told == [
        f"numbers 11 to 12, the newest, are gone: {who} them"
        for who in ("the head that was given names", "sink far took")
    ]
    trail.write(2)
    trail.seal()
    trail.verify(head=kept)
    assert trail.told == ["number 12 is not the one that its head names"]


def test_a_wrong_key_is_told_once_and_not_for_each_record(trail):
    with pytest.raises(errors.ConfigurationError, match="not the key that signed this trail"):
        trail.verify(key=b"another" * 5)
    assert trail.told == []


def test_a_key_that_was_replaced_is_told(trail):
    trail.seal()
    trail.write(4, key=b"new" * 11)
    trail.seal(key=b"new" * 11)
    trail.verify(key=b"new" * 11)
    assert "the first 12 records fail and all after them hold" in " ".join(trail.told)
    assert "another key signed it" in trail.told[0]


def test_a_trail_of_a_release_without_heads_is_signed_at_the_upgrade_and_only_then(trail):
    trail.tamper("DELETE FROM audit_head")
    audit_head.adopt(trail.database, KEY)
    trail.verify()
    assert trail.told == []


def test_progress_is_told_for_records_and_seals(trail):
    counts = []
    audit_verify.Verifier(trail.database, KEY, print, counts.append).verify()
    assert counts == sorted(counts)
    assert counts[-1] == 12 + 10


@pytest.mark.parametrize("text", ["7", "x:y", ":y", "7:"])
def test_what_is_no_head_is_refused(trail, text):
    with pytest.raises(errors.InvalidRequest, match="number:chain"):
        trail.verify(head=text)
