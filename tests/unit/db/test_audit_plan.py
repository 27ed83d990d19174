"""Query plans of the trail's pages with 20,000 records: an index begins each branch."""

import datetime
import re

import pytest
import sqlalchemy as sa

from imagesvc.db import audit, audit_list, engine
from tests import migrated
from tests.unit.db import make

COUNT = 20_000


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def filled(request, tmp_path_factory):
    """Records of 50 projects, with statistics."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path_factory.mktemp('plan') / 'db.sqlite'}"
        migrated.make(url)
    else:
        server = request.getfixturevalue("postgresql_server")
        url = server.create(request.getfixturevalue("postgresql_template"))
    database = engine.Database(url)
    with database.write() as conn:
        conn.execute(sa.insert(audit.TABLE), [_row(n) for n in range(COUNT)])
    with database.write() as conn:
        conn.exec_driver_sql("ANALYZE")
    yield database
    database.dispose()


def _row(n):
    return {
        "event_id": f"event-{n}",
        "created_at": make.START + datetime.timedelta(seconds=n),
        "action": f"noun:verb{n % 40}",
        "outcome": "denied" if n % 500 == 0 else "success",
        "target_type": "image",
        "target_id": f"i{n // 4}",
        "project_id": f"p{n % 50}",
        "user_id": f"u{n % 200}",
        "owner_project_id": f"p{(n + n % 2) % 50}",
        "request_id": "req-1",
        "detail": {},
        "hmac": "00",
    }


def plan(database, query, seen_by):
    """The plan of each statement that the page takes."""
    taken = []

    def note(conn, cursor, statement, parameters, context, executemany):
        taken.append((statement, parameters))

    with database.read() as conn:
        sa.event.listen(conn, "before_cursor_execute", note)
        audit_list.list_page(conn, query, seen_by)
        sa.event.remove(conn, "before_cursor_execute", note)
        explain = "EXPLAIN QUERY PLAN" if database.dialect == "sqlite" else "EXPLAIN"
        told = [conn.exec_driver_sql(f"{explain} {sql}", values) for sql, values in taken]
        return "\n".join(str(row[-1]) for rows in told for row in rows)


WINDOW = {
    "since": make.START + datetime.timedelta(seconds=100),
    "until": make.START + datetime.timedelta(seconds=200),
}
FILTERS = {
    "none": ({}, "newest"),
    "project": ({"project_id": "p3"}, "project_id"),
    "user": ({"user_id": "u3"}, "user_id"),
    "target": ({"target_id": "i3"}, "target_id"),
    "action": ({"action": "noun:verb3"}, "action"),
    "outcome": ({"outcome": "denied"}, "outcome"),
    "window": (WINDOW, "newest"),
    "project and window": ({"project_id": "p3"} | WINDOW, "(project_id|newest)"),
    "user and outcome": ({"user_id": "u0", "outcome": "denied"}, "(user_id|outcome)"),
}


def scans(text):
    """Lines that read the table, or an index of it, without a beginning or an order."""
    return re.findall(r"Seq Scan on audit.*|SCAN audit(?! USING INDEX ix_audit_newest).*", text)


@pytest.mark.parametrize("name", FILTERS)
@pytest.mark.parametrize("behind", [False, True])
def test_a_page_of_an_administrator_begins_at_an_index(filled, name, behind):
    facts, index = FILTERS[name]
    facts = facts | ({"marker": "event-15000"} if behind else {})
    text = plan(filled, audit_list.AuditQuery(**facts), None)
    assert scans(text) == [], text
    assert re.search(f"ix_audit_{index}", text), text


@pytest.mark.parametrize("name", FILTERS)
def test_a_page_of_a_project_begins_at_an_index(filled, name):
    facts, _ = FILTERS[name]
    text = plan(filled, audit_list.AuditQuery(**facts), "p3")
    assert scans(text) == [], text
    if name == "none":
        assert {"ix_audit_project_id", "ix_audit_owner_project_id"} <= set(
            re.findall(r"ix_audit_\w+", text)
        ), text
