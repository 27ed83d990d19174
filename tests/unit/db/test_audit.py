"""The audit trail: append-only, sealed in order, read by sinks from their cursors."""

import dataclasses
import datetime
import uuid

import pytest
import sqlalchemy as sa

from imagesvc import errors
from imagesvc.db import audit as rows
from imagesvc.db import audit_list, audit_seal, engine
from tests.unit.db import make


def _record(**facts):
    values = {
        "event_id": str(uuid.uuid4()),
        "created_at": make.START,
        "action": "image:create",
        "outcome": "success",
        "target_type": "image",
        "target_id": "i",
        "project_id": "alpha",
        "user_id": "u",
        "request_id": "req-1",
        "detail": {"b": 1.5, "a": ["ü", None]},
        "hmac": "00",
    }
    return rows.AuditRecord(**(values | facts))


def _insert(database, **facts):
    record = _record(**facts)
    with database.write() as conn:
        rows.insert(conn, record)
    return record


@pytest.mark.parametrize("table", ["audit", "audit_seal"])
@pytest.mark.parametrize("verb", ["update", "delete"])
def test_the_trail_can_be_neither_changed_nor_shortened(database, table, verb):
    record = _insert(database)
    with database.write() as conn:
        audit_seal.seal(conn, [(1, audit_seal.unsealed(conn, 1)[0].id, "c")])
    column = "hmac" if table == "audit" else "chain"
    statement = f"UPDATE {table} SET {column} = 'x'" if verb == "update" else f"DELETE FROM {table}"
    with pytest.raises(sa.exc.IntegrityError, match="append-only"), database.write() as conn:
        conn.exec_driver_sql(statement)
    with database.read() as conn:
        found = audit_seal.list_sealed(conn, 0, 10)
    assert [(row.event_id, row.hmac, row.chain) for row in found] == [(record.event_id, "00", "c")]


@pytest.mark.parametrize("table", ["audit", "audit_seal"])
def test_a_row_of_the_trail_cannot_be_replaced_on_sqlite(sqlite_url, table):
    database = engine.Database(sqlite_url)
    _insert(database)
    with database.write() as conn:
        audit_seal.seal(conn, [(1, audit_seal.unsealed(conn, 1)[0].id, "c")])
    statement = f"INSERT OR REPLACE INTO {table} SELECT * FROM {table}"
    with pytest.raises(sa.exc.IntegrityError, match="append-only"), database.write() as conn:
        conn.exec_driver_sql(statement)
    with database.read() as conn:
        assert conn.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar() == 1
    database.dispose()


def test_a_table_of_the_trail_cannot_be_emptied_on_postgresql(postgresql):
    _insert(postgresql)
    with pytest.raises(sa.exc.IntegrityError, match="append-only"), postgresql.write() as conn:
        conn.exec_driver_sql("TRUNCATE audit CASCADE")


def test_a_record_comes_back_as_it_went_in(database):
    record = _insert(database)
    with database.read() as conn:
        (found,) = audit_list.list_page(conn, audit_list.AuditQuery())
    assert dataclasses.replace(found, id=0) == record


def test_a_record_goes_with_its_transaction(database):
    with database.engine.connect() as conn:
        rows.insert(conn, _record())
        conn.rollback()
    with database.read() as conn:
        assert audit_list.list_page(conn, audit_list.AuditQuery()) == ()
        assert audit_seal.unsealed(conn, 10) == ()


def test_records_are_sealed_in_order_and_once(database):
    events = [_insert(database).event_id for _ in range(5)]
    with database.write() as conn:
        assert audit_seal.last_seal(conn) == (0, "")
        waiting = audit_seal.unsealed(conn, 3)
        assert [row.event_id for row in waiting] == events[:3]
        audit_seal.seal(conn, [(n, row.id, f"c{n}") for n, row in enumerate(waiting, 1)])
        assert audit_seal.last_seal(conn) == (3, "c3")
        assert [row.event_id for row in audit_seal.unsealed(conn, 10)] == events[3:]
        assert audit_seal.unsealed_since(conn) == (2, make.START)
        sealed = audit_seal.list_sealed(conn, 1, 10)
    assert [(row.number, row.event_id) for row in sealed] == [(2, events[1]), (3, events[2])]
    with pytest.raises(sa.exc.IntegrityError), database.write() as conn:
        audit_seal.seal(conn, [(3, waiting[0].id, "again")])


def test_a_sink_goes_on_at_its_cursor(database):
    with database.write() as conn:
        assert audit_seal.get_cursor(conn, "file") == 0
        audit_seal.set_cursor(conn, "file", 3)
        audit_seal.set_cursor(conn, "file", 5)
        assert audit_seal.get_cursor(conn, "file") == 5
        assert audit_seal.get_cursor(conn, "other") == 0


@pytest.fixture
def listed(database):
    """Event ids of a page."""

    def list_page(seen_by=None, **wanted):
        with database.read() as conn:
            query = audit_list.AuditQuery(**wanted)
            return [row.event_id for row in audit_list.list_page(conn, query, seen_by)]

    return list_page


def test_a_project_sees_its_actions_and_those_of_others_on_its_things(database, listed):
    own = [_insert(database, owner_project_id="alpha").event_id for _ in range(3)]
    on_own = _insert(database, project_id="beta", owner_project_id="alpha").event_id
    nobody = _insert(database, project_id=None, owner_project_id="alpha").event_id
    foreign = _insert(database, project_id="beta").event_id
    mine = [nobody, on_own, *reversed(own)]
    assert listed("alpha") == mine
    assert listed("alpha", limit=2) == mine[:2]
    assert listed("alpha", marker=mine[1]) == mine[2:]
    assert listed("beta") == [foreign, on_own]
    assert listed() == [foreign, *mine]
    with pytest.raises(errors.InvalidRequest, match="no event") as caught:
        listed("alpha", marker=foreign)
    assert caught.value.reason is errors.Reason.MARKER


def test_every_fact_filters(database, listed):
    _insert(database)
    later = make.START + datetime.timedelta(hours=1)
    facts = {
        "project_id": "beta", "user_id": "v", "target_id": "j", "action": "image:delete",
        "outcome": "denied",
    }  # fmt: skip
    wanted = _insert(database, created_at=later, **facts).event_id
    for name, value in facts.items():
        assert listed(**{name: value}) == [wanted], name
    assert listed(since=later) == [wanted]
    assert wanted not in listed(until=later)
    assert listed("alpha", project_id="beta") == []


def test_records_of_one_moment_are_paged_without_loss(database, listed):
    events = [_insert(database).event_id for _ in range(5)][::-1]
    found, marker = [], None
    while page := listed("alpha", limit=2, marker=marker):
        found += page
        marker = page[-1]
    assert found == events
