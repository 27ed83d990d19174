"""`config check` and `upgrade check` give a verdict a line, and say what to do."""

import importlib.metadata

import pytest

from imagesvc import opts
from imagesvc.backend.registry import Backends
from imagesvc.cmd import check, check_backend, check_tool
from imagesvc.db import damage, image_disk
from imagesvc.db import image as image_rows
from imagesvc.db.engine import Database
from imagesvc_drivers.client import sandbox
from tests.unit.db import make
from tests.unit.worker.conftest import CONF

COMMANDS = [("manage", "config", "check"), ("status", "upgrade", "check")]


def verdicts(done):
    """(level, name) -> text."""
    found = {}
    for line in done.stdout.splitlines()[:-1]:
        found[line[:8].strip(), line[9:33].strip()] = line[34:]
    return found


@pytest.fixture
def conf_of(tmp_path):
    """Read a configuration from its text."""

    def read(text):
        path = tmp_path / "imagesvc.conf"
        path.write_text(text)
        return opts.load(path)

    return read


@pytest.mark.parametrize("command", COMMANDS)
def test_a_whole_installation_passes(installation, command):
    done = installation.run(*command)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith(" 0 failed, 0 with a warning\n")
    names = {name for _, name in verdicts(done)}
    assert {"database", "schema", "key file", "configuration", "policy"} <= names
    assert {"tool qemu-img", "tool bwrap", "tool qemu-system-x86_64"} <= names


def test_the_configuration_check_looks_at_backends_sandbox_space_and_copies(installation):
    found = verdicts(installation.run("manage", "config", "check"))
    assert found["ok", "sandbox converter:local"] == "bubblewrap"
    assert "QEMU emulator version" in found["ok", "tool qemu-system-x86_64"]
    assert found["ok", "library pytsk3"]
    for name in ("tool qemu-nbd", "backend storage:local", "backend identity:local", "space storage:local",
                 "space state_dir", "space scratch", "copies"):  # fmt: skip
        assert ("ok", name) in found


def test_foreign_urls_are_a_warning_that_says_what_is_given_up(conf_of):
    (found,) = check.foreign(conf_of("[location]\nforeign_store = web\n"))
    assert (found.level, "unverified" in found.text) == ("warning", True)
    assert list(check.foreign(conf_of(""))) == []


def test_landlock_alone_is_a_warning_that_says_what_is_missing(monkeypatch, conf_of, tmp_path):
    best = sandbox.Sandbox
    monkeypatch.setattr(sandbox, "Sandbox", lambda: best(sandbox.Level.LANDLOCK))
    backends = Backends(conf_of(CONF.format(folder=tmp_path, url="sqlite://")))
    assert "guest-facts" in backends.status("converter").capabilities
    backends.open(monitor=False)
    try:
        backends.check()
        (found,) = check_backend.sandbox(backends)
    finally:
        backends.close()
    assert (found.level, found.name) == ("warning", "sandbox converter:local")
    assert "disks of guests are not looked into" in found.text
    assert "guest-facts" not in backends.status("converter").capabilities


def test_a_look_into_guests_that_is_wanted_and_not_possible_is_a_warning(monkeypatch, conf_of):
    def missing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", missing)
    found = {one.name: one for one in check_tool.tools(conf_of(""))}
    assert "pip install imagesvc[guest]" in found["library pytsk3"].text
    off = {one.name for one in check_tool.tools(conf_of("[image]\ndetect = off\n"))}
    assert "library pytsk3" not in off


def test_the_upgrade_check_names_contracts_and_opens_nothing(installation):
    found = verdicts(installation.run("status", "upgrade", "check"))
    assert "was written for 1." in found["ok", "contract storage:local"]
    assert not (installation.folder / "store").exists()


@pytest.mark.parametrize("command", COMMANDS)
def test_nothing_is_there_yet(bare, command):
    done = bare.run(*command)
    found = verdicts(done)
    assert done.returncode == 1
    assert "run imagesvc-manage db upgrade" in found["failed", "database"].lower()
    assert "db upgrade" in found["failed", "key file"]
    assert not (bare.folder / "imagesvc.sqlite").exists()


@pytest.mark.parametrize("command", COMMANDS)
def test_another_schema_names_the_command(installation, command):
    database = Database(f"sqlite:///{installation.folder}/imagesvc.sqlite")
    with database.write() as conn:
        conn.exec_driver_sql("UPDATE alembic_version SET version_num = '0001'")
    database.dispose()
    done = installation.run(*command)
    assert done.returncode == 1
    assert "run imagesvc-manage db upgrade" in verdicts(done)["failed", "schema"]


@pytest.mark.parametrize("command", COMMANDS)
def test_an_open_key_file_is_named_with_its_cure(installation, command):
    key = installation.folder / "installation.key"
    key.chmod(0o640)
    done = installation.run(*command)
    assert done.returncode == 1
    assert f"chmod 0600 {key}" in verdicts(done)["failed", "key file"]


@pytest.mark.parametrize("command", COMMANDS)
def test_what_nothing_reads_is_a_warning(installation, command):
    installation.configure("[storage_local]\ndirektory = /x\n[storage_old]\ndirectory = /y\n")
    done = installation.run(*command)
    assert done.returncode == 0
    assert "warning  configuration            [storage_local] direktory" in done.stdout
    assert "warning  configuration            [storage_old] directory" in done.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_a_driver_that_is_not_installed_is_a_finding(installation, command):
    installation.configure("[compute]\nenabled_backends = local:ufo\n")
    done = installation.run(*command)
    assert done.returncode == 1
    assert "no driver ufo" in verdicts(done)["failed", "backends"]


def test_a_backend_that_does_not_work_is_a_finding(installation):
    installation.configure("[compute_local]\nbinary = /nonexistent/qemu\n")
    done = installation.run("manage", "config", "check")
    assert done.returncode == 1
    assert "correct [compute_local]" in verdicts(done)["failed", "backend compute:local"]


def test_a_database_that_is_away_is_a_finding_without_its_password(installation):
    url = "postgresql://u:hunter2@127.0.0.1:1/x"
    done = installation.run("manage", "config", "check", OS_DATABASE__URL=url)
    assert done.returncode == 1
    assert "correct [database] url or start it" in verdicts(done)["failed", "database"]
    assert "hunter2" not in done.stdout + done.stderr


def test_images_with_one_good_copy_are_a_warning(installation):
    database = Database(f"sqlite:///{installation.folder}/imagesvc.sqlite")
    with database.write() as conn:
        for places in ((("local", "a"),), (("local", "b"), ("far", "b"))):
            image = make.image()
            image_rows.insert(conn, image)
            image_disk.insert_disk(conn, image.id, make.disk(locations=places))
    database.dispose()
    done = installation.run("manage", "config", "check")
    assert done.returncode == 0
    text = verdicts(done)["warning", "copies"]
    assert "1 with 1, 1 with 2" in text


def test_a_policy_that_nobody_can_read_is_a_finding(installation):
    (installation.folder / "policy.yaml").write_text("image:list: [")
    found = verdicts(installation.run("manage", "config", "check"))
    assert ("failed", "policy") in found


def test_a_damaged_image_is_a_finding(installation):
    database = Database(f"sqlite:///{installation.folder}/imagesvc.sqlite")
    image = make.image()
    with database.write() as conn:
        image_rows.insert(conn, image)
        image_disk.insert_disk(conn, image.id, make.disk(locations=(("local", "a"),)))
        damage.mark(conn, "local", "a", 0, "corrupt")
    database.dispose()
    done = installation.run("manage", "config", "check")
    assert done.returncode == 1
    assert "1 with 0" in verdicts(done)["failed", "copies"]
