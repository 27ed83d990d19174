"""`imagesvc-manage audit verify` as an operator meets it."""

import secrets

import pytest
import sqlalchemy as sa

from imagesvc import opts, service
from imagesvc.cmd import manage
from imagesvc.context import RequestContext
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
    change(
        conf,
        "DELETE FROM audit_head",
        "UPDATE alembic_version SET version_num = '0004'",
        "DROP TABLE audit_head",
        "DROP TABLE damaged_copy",
        "DROP TABLE object_store",
        *(f"DROP INDEX ix_audit_{name}" for name in ("user_id", "outcome", "newest")),
        *(f"DROP INDEX ix_image_{name}" for name in ("os_type", "architecture", "description")),
        *(
            f"DROP TABLE metadef_{name}"
            for name in ("association", "object", "property", "tag", "resource_type", "namespace")
        ),
    )
    assert run(conf, "db", "upgrade") == 0
    assert run(conf, "audit", "verify") == 0
    change(conf, "DELETE FROM audit_head")
    assert run(conf, "db", "upgrade") == 0
    assert run(conf, "audit", "verify") == 1
