"""`imagesvc-manage audit verify` as an operator meets it."""

import contextlib
import secrets
import sqlite3

import alembic.command
import pytest
import sqlalchemy as sa

from imagesvc import opts, service
from imagesvc.cmd import manage
from imagesvc.context import RequestContext
from imagesvc.db import migrate
from imagesvc.domain.image import NewImage
from imagesvc.worker import seal

CONF = """
[service]
state_dir = {folder}
[database]
url = sqlite:///{folder}/db.sqlite
[storage_local]
directory = {folder}/store
[identity_local]
path = {folder}/identity.sqlite
[compute_local]
state_dir = {folder}/compute
accelerator = tcg
[audit_sink_local]
path = {folder}/audit.jsonl
"""
CALLER = RequestContext("user", "project", frozenset({"member"}), request_id="req-1")


@pytest.fixture
def conf(tmp_path, monkeypatch):
    """A configuration whose database holds three sealed records."""
    monkeypatch.delenv(opts.CONF_VARIABLE, raising=False)
    path = tmp_path / "imagesvc.conf"
    path.write_text(CONF.format(folder=tmp_path))
    assert run(path, "db", "upgrade") == 0
    built = service.build(opts.load(path), monitor=False)
    for _ in range(3):
        built.images.create(CALLER, NewImage(name="x"))
    assert seal.run(built) == 3
    built.close()
    return path


def run(conf, *words):
    """One command in this process; its exit code."""
    return manage.main(["--config-file", str(conf), *words])


def change(conf, *statements):
    """Statements behind the service's back."""
    engine = sa.create_engine(f"sqlite:///{conf.parent}/db.sqlite")
    with engine.begin() as conn:
        for statement in statements:
            conn.exec_driver_sql(statement)
    engine.dispose()


def make_older(conf, revision):
    """Give the database the schema of a revision, and of its rows what that has room for."""
    new, old = conf.parent / "db.sqlite", conf.parent / "old.sqlite"
    config, engine = migrate._config(), sa.create_engine(f"sqlite:///{old}")
    with engine.begin() as conn:
        config.attributes["connection"] = conn
        alembic.command.upgrade(config, revision)
    engine.dispose()
    with contextlib.closing(sqlite3.connect(old)) as conn:
        conn.execute("ATTACH ? AS new", (str(new),))
        tables = (
            "SELECT name FROM main.sqlite_master WHERE type = 'table' AND name NOT LIKE 'alembic%'"
        )
        for (table,) in conn.execute(tables).fetchall():
            columns = [{row[1] for row in conn.execute(f"PRAGMA {side}.table_info({table})")}
                       for side in ("main", "new")]  # fmt: skip
            names = ", ".join(sorted(columns[0] & columns[1]))
            conn.execute(f"INSERT INTO main.{table} ({names}) SELECT {names} FROM new.{table}")
        conn.commit()
    for path in conf.parent.glob("db.sqlite*"):
        path.unlink()
    old.rename(new)


def test_a_whole_trail_ends_with_its_head(conf, capsys):
    capsys.readouterr()
    assert run(conf, "audit", "verify") == 0
    told = capsys.readouterr().out.splitlines()
    assert told[0] == "3 records sealed, 0 wait for a seal"
    assert told[2] == "the trail is whole"
    assert run(conf, "audit", "verify", "--head", told[1].removeprefix("head ")) == 0


def test_a_fault_is_told_and_gives_1(conf, capsys):
    change(conf, "DROP TRIGGER audit_no_update", "UPDATE audit SET user_id = 'x' WHERE id = 2")
    assert run(conf, "audit", "verify") == 1
    told = capsys.readouterr().out
    assert "(id 2, number 2) was changed" in told
    assert "the trail is NOT whole, faults: 1" in told


def test_another_key_file_is_told_in_one_line(conf, capsys):
    (conf.parent / "installation.key").write_text(secrets.token_hex(32))
    assert run(conf, "audit", "verify") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "Restore the key file" in line


def test_an_upgrade_signs_the_head_of_an_older_trail_and_no_later_one(conf):
    make_older(conf, "0004")
    assert run(conf, "db", "upgrade") == 0
    assert run(conf, "audit", "verify") == 0
    change(conf, "DELETE FROM audit_head")
    assert run(conf, "db", "upgrade") == 0
    assert run(conf, "audit", "verify") == 1
