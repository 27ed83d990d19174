"""The probe of the database says what is wrong, in time."""

import time

from imagesvc.db import health
from imagesvc.db.engine import Database

DEADLINE_S = 30.0


def test_a_database_that_answers_is_well(database):
    assert health.DatabaseProbe(database).cause() == ""


def test_a_database_with_another_schema_is_not(tmp_path):
    database = Database(f"sqlite:///{tmp_path}/new.sqlite")
    assert "imagesvc-manage db upgrade" in health.DatabaseProbe(database).cause()
    database.dispose()


def test_a_database_that_cannot_be_opened_is_not(tmp_path):
    database = Database(f"sqlite:///{tmp_path}/absent/db.sqlite")
    assert "OperationalError" in health.DatabaseProbe(database).cause()


def test_a_silent_database_is_told_of_in_time_and_found_well_later(postgresql):
    probe = health.DatabaseProbe(postgresql, timeout_s=0.1, fresh_s=0.0)
    with postgresql.write() as conn:
        conn.exec_driver_sql("LOCK TABLE alembic_version IN ACCESS EXCLUSIVE MODE")
        assert probe.cause() == "no answer within 0.1 s"
        assert probe.cause() == "no answer within 0.1 s"
    deadline = time.monotonic() + DEADLINE_S
    while probe.cause():
        assert time.monotonic() < deadline


def test_many_askers_cost_one_statement(postgresql):
    probe = health.DatabaseProbe(postgresql, fresh_s=60.0)
    assert probe.cause() == ""
    with postgresql.write() as conn:
        conn.exec_driver_sql("LOCK TABLE alembic_version IN ACCESS EXCLUSIVE MODE")
        assert probe.cause() == ""
