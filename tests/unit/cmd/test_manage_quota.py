"""imagesvc-manage quota: show, set, verify."""

import secrets

import pytest

from imagesvc import opts
from imagesvc.cmd import manage
from imagesvc.db import engine, quota
from imagesvc.domain.quota import Change, Resource
from tests import migrated

CONF = """
[service]
state_dir = {folder}
[database]
url = sqlite:///{folder}/imagesvc.sqlite
[quota]
images = 5
[storage_local]
directory = {folder}/images
[identity_local]
path = {folder}/identity.sqlite
[compute_local]
state_dir = {folder}/servers
accelerator = tcg
[audit_sink_local]
path = {folder}/audit.log
"""


@pytest.fixture
def run(tmp_path, capsys, monkeypatch):
    """Run the command on an installation of its own: code, words of each line, complaint."""
    monkeypatch.delenv(opts.CONF_VARIABLE, raising=False)
    monkeypatch.setenv(opts.CONF_VARIABLE, "")
    key = tmp_path / "installation.key"
    key.write_text(secrets.token_hex(32))
    key.chmod(0o600)
    path = tmp_path / "imagesvc.conf"
    path.write_text(CONF.format(folder=tmp_path))
    migrated.make(f"sqlite:///{tmp_path}/imagesvc.sqlite")
    assert manage.main(["--config-file", str(path), "identity", "project", "create", "demo"]) == 0
    project_id = capsys.readouterr().out.strip()

    def go(*args):
        code = manage.main(["--config-file", str(path), "quota", *args])
        said = capsys.readouterr()
        return code, [line.split() for line in said.out.splitlines()], said.err

    go.project_id = project_id
    go.url = f"sqlite:///{tmp_path}/imagesvc.sqlite"
    return go


def test_limits_are_set_by_name_and_shown_by_id(run):
    code, lines, _ = run("set", "demo", "--stored-bytes", "1000", "--images", "-1")
    assert code == 0
    assert run("show", run.project_id)[1] == lines
    assert lines[1:] == [
        ["images", "0", "0", "none", "project"],
        ["stored_bytes", "0", "0", "1000", "project"],
        ["uploads", "0", "0", "none", "default"],
    ]
    lines = run("set", "demo", "--images", "default")[1]
    assert lines[1] == ["images", "0", "0", "5", "default"]


def test_an_unknown_project_is_refused(run):
    code, lines, complaint = run("set", "nobody", "--images", "1")
    assert (code, lines) == (2, [])
    assert complaint.startswith("imagesvc-manage: ")


@pytest.mark.parametrize("value", ["-2", "many", str(2**63)])
def test_a_limit_is_a_number(run, value):
    with pytest.raises(SystemExit):
        run("set", "demo", "--images", value)


def test_wrong_counters_are_told_and_mended(run):
    assert run("verify")[:2] == (0, [["all", "counters", "are", "right"]])
    database = engine.Database(run.url)
    with database.write() as conn:
        quota.change(conn, [Change(run.project_id, Resource.IMAGES, used=3)], {})
    database.dispose()
    assert run("verify")[0] == run("verify", "--mend")[0] == 1
    assert run("verify")[0] == 0
