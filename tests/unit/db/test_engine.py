"""The engine: transactions, processes, lost connections, schema versions."""

import dataclasses
import os
import socket
import subprocess
import sys
import threading

import alembic.command
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from imagesvc import errors
from imagesvc.db import (
    engine,
    image,
    image_disk,
    metadata,
    migrate,
    quota,
    quota_count,
    schema,
)
from tests.unit.db import make


def test_a_clean_exit_commits_and_another_rolls_back(database):
    kept, lost = make.image(), make.image()
    with database.write() as conn:
        image.insert(conn, kept)

    def fail():
        with database.write() as conn:
            image.insert(conn, lost)
            image.insert(conn, lost)

    with pytest.raises(errors.Conflict):
        fail()
    with database.read() as conn:
        assert image.get(conn, kept.id) == kept
        assert image.get(conn, lost.id) is None


def test_sqlite_loses_no_commit_and_checks_references(sqlite_url):
    database = engine.Database(sqlite_url)
    with database.read() as conn:
        found = [
            conn.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        ]
    database.dispose()
    assert found == ["wal", 2, 1, 30000]


def test_writers_queue_instead_of_failing(database):
    with database.write() as conn:
        image.insert(conn, owner := make.image())

    def raise_revision():
        for _ in range(10):
            with database.write() as conn:
                found = image.get(conn, owner.id)
                image.update(conn, owner.id, {"name": f"{found.revision}"})

    threads = [threading.Thread(target=raise_revision) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.read() as conn:
        assert image.get(conn, owner.id).revision == 40


def test_a_cut_connection_is_replaced(postgresql):
    with postgresql.read() as conn:
        pid = conn.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
    other = engine.Database(postgresql.engine.url.render_as_string(hide_password=False))
    with other.read() as conn:
        conn.exec_driver_sql(f"SELECT pg_terminate_backend({pid}, 5000)")
    other.dispose()
    with postgresql.read() as conn:
        assert conn.exec_driver_sql("SELECT pg_backend_pid()").scalar_one() != pid


def test_a_read_of_postgresql_is_one_round_trip(postgresql, tmp_path):
    with postgresql.write() as conn:
        image.insert(conn, made := make.image())
    with (tmp_path / "trace").open("w") as trace:
        with postgresql.read() as conn:
            raw = conn.connection.dbapi_connection
            raw.pgconn.trace(trace.fileno())
            assert image.get(conn, made.id) == made
        with postgresql.read() as conn:
            assert conn.connection.dbapi_connection is raw
            assert image.get(conn, made.id) == made
        raw.pgconn.untrace()
    fields = [line.split("\t") for line in (tmp_path / "trace").read_text().splitlines()]
    # Each round trip is one of these messages from the front end.
    trips = [line[3] for line in fields if line[1:2] == ["F"] and line[3] in ("Sync", "Query")]
    assert len(trips) == 2


def test_a_connection_that_rested_is_asked_whether_it_lives(postgresql, monkeypatch):
    asked = []
    ping = postgresql.engine.dialect.do_ping
    monkeypatch.setattr(
        postgresql.engine.dialect, "do_ping", lambda raw: asked.append(1) or ping(raw)
    )
    moment = [100.0]
    monkeypatch.setattr(engine.time, "monotonic", lambda: moment[0])
    for moment[0] in (100.0, 100.5, 100.9, 200.0):
        with postgresql.read() as conn:
            conn.exec_driver_sql("SELECT 1")
    assert len(asked) == 1


def test_each_process_has_an_engine_of_its_own(database, monkeypatch):
    mine = database.engine
    assert database.engine is mine
    pid = os.getpid()
    monkeypatch.setattr(os, "getpid", lambda: pid + 1)
    child = database.engine
    assert child is not mine
    database.dispose()
    monkeypatch.undo()
    assert database.engine is mine


def test_psycopg_is_imported_for_postgresql_alone(sqlite_url):
    code = (
        "import sys; from imagesvc.db import engine, image\n"
        f"db = engine.Database({sqlite_url!r})\n"
        "with db.read() as conn: image.get(conn, 'x')\n"
        "sys.exit('psycopg' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_an_unknown_database_is_refused():
    with pytest.raises(errors.ConfigurationError, match="mysql"):
        engine.Database("mysql://host/name")


def test_a_start_on_another_schema_names_the_command(database, tmp_path):
    engine.check_schema(database)
    empty = engine.Database(f"sqlite:///{tmp_path / 'empty.sqlite'}")
    with pytest.raises(errors.ConfigurationError, match="imagesvc-manage db upgrade"):
        engine.check_schema(empty)
    empty.dispose()
    with database.write() as conn:
        conn.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(errors.ConfigurationError, match="9999"):
        engine.check_schema(database)


def test_a_second_upgrade_changes_nothing(url):
    migrate.upgrade(url)
    assert migrate.current(url) == migrate.head() == metadata.SCHEMA_VERSION


def test_an_upgrade_makes_the_schema_of_the_code_on_sqlite(sqlite_url, tmp_path):
    migrated, made = engine.Database(sqlite_url), engine.Database(f"sqlite:///{tmp_path}/made")
    with made.write() as conn:
        schema.METADATA.create_all(conn)
    found = []
    for database in (migrated, made):
        with database.read() as conn:
            rows = conn.exec_driver_sql(
                "SELECT name, sql FROM sqlite_master WHERE type IN ('table', 'index') "
                "AND name NOT LIKE 'alembic%' AND name NOT LIKE 'sqlite_%'"
            )
            found.append({row.name: sorted(row.sql.replace(",", "").split()) for row in rows})
        database.dispose()
    assert found[0] == found[1]


def test_an_upgrade_makes_the_schema_of_the_code_on_postgresql(postgresql):
    with postgresql.read() as conn:
        context = MigrationContext.configure(conn, opts={"compare_type": False})
        assert compare_metadata(context, schema.METADATA) == []


@pytest.mark.parametrize("engine_name", ["sqlite", "postgresql"])
def test_an_upgrade_counts_what_is_there(engine_name, tmp_path, postgresql_server, monkeypatch):
    url = f"sqlite:///{tmp_path}/old.sqlite"
    if engine_name == "postgresql":
        url = postgresql_server.create()
    upgrade_to(url, "0003", monkeypatch)
    database = engine.Database(url)
    whole, bare, killed, nobodys = (make.image() for _ in range(4))
    with database.write() as conn:
        for one in (whole, bare, killed, dataclasses.replace(nobodys, owner=None)):
            image.insert(conn, one)
        image_disk.insert_disk(conn, whole.id, make.disk(size_bytes=2**40))
        image_disk.insert_disk(conn, whole.id, make.disk(index=1, size_bytes=1))
        image.transition(conn, killed.id, "job_failed")
    migrate.upgrade(url)
    with database.write() as conn:
        found = [(one.used, one.reserved) for one in quota.usage(conn, "alpha", {})]
        assert found == [(2, 0), (2**40 + 1, 0), (0, 0)]
        assert quota_count.differences(conn) == ()
    database.dispose()
    if engine_name == "postgresql":
        postgresql_server.drop(url)


@pytest.mark.parametrize("engine_name", ["sqlite", "postgresql"])
def test_an_upgrade_moves_facts_from_properties(
    engine_name, tmp_path, postgresql_server, monkeypatch
):
    url = f"sqlite:///{tmp_path}/old.sqlite"
    if engine_name == "postgresql":
        url = postgresql_server.create()
    upgrade_to(url, "0005", monkeypatch)
    database = engine.Database(url)
    old = {"os_type": "windows", "architecture": "arm", "description": "d" * 65535, "else": "x"}
    noted, bare = make.image(os_type="linux"), make.image(os_type="linux", architecture="s390x")
    with database.write() as conn:
        image.insert(conn, dataclasses.replace(noted, properties=old))
        image.insert(conn, bare)
    migrate.upgrade(url)
    with database.read() as conn:
        moved = image.get(conn, noted.id)
        assert (moved.os_type, moved.architecture) == ("windows", "arm")
        assert (moved.description, moved.properties) == (old["description"], {"else": "x"})
        assert image.get(conn, bare.id) == bare
    database.dispose()
    if engine_name == "postgresql":
        postgresql_server.drop(url)


def upgrade_to(url, revision, monkeypatch):
    """Bring a new database to the schema of an older release."""
    upgrade = alembic.command.upgrade
    with monkeypatch.context() as patch:
        patch.setattr(alembic.command, "upgrade", lambda config, _: upgrade(config, revision))
        migrate.upgrade(url)
    assert migrate.current(url) == revision


def test_two_upgrades_at_once_make_one_schema(postgresql_server):
    fresh = postgresql_server.create()
    threads = [threading.Thread(target=migrate.upgrade, args=(fresh,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert migrate.current(fresh) == metadata.SCHEMA_VERSION
    postgresql_server.drop(fresh)


def test_a_lock_that_is_never_given_up_ends_the_wait_for_it(postgresql_url, monkeypatch):
    monkeypatch.setattr(engine, "_LOCK_WAIT_S", 0.2)
    database = engine.Database(postgresql_url)
    with database.write() as conn:
        image.insert(conn, made := make.image())

    def change():
        with database.write() as conn:
            image.update(conn, made.id, {"name": "late"})

    with database.write() as holder:
        image.get(holder, made.id, lock=True)
        with pytest.raises(sa.exc.OperationalError) as caught:
            change()
    assert engine.is_transient(caught.value)
    database.dispose()


def test_a_process_that_sleeps_in_a_transaction_loses_it(postgresql_url, monkeypatch):
    monkeypatch.setattr(engine, "_IDLE_S", 0.2)
    database = engine.Database(postgresql_url)
    with database.write() as conn:
        image.insert(conn, made := make.image())

    def sleep():
        with database.write() as sleeper:
            image.update(sleeper, made.id, {"name": "asleep"})
            with database.write() as conn:  # waits until the server ends the other
                image.update(conn, made.id, {"name": "awake"})
            image.update(sleeper, made.id, {"name": "asleep"})

    with pytest.raises(sa.exc.DBAPIError) as caught:
        sleep()
    assert engine.is_transient(caught.value)
    with database.read() as conn:
        assert image.get(conn, made.id).name == "awake"
    database.dispose()


def test_a_server_that_never_answers_ends_the_wait_for_a_connection(monkeypatch):
    monkeypatch.setattr(engine, "_CONNECT_S", 2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        database = engine.Database(f"postgresql://imagesvc@127.0.0.1:{port}/imagesvc")
        with pytest.raises(sa.exc.OperationalError), database.read():
            pass
        database.dispose()
