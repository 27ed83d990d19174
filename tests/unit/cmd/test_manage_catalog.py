"""imagesvc-manage catalog, on a folder of families and a worker beside it."""

import json
import secrets
import threading

import pytest

from imagesvc import opts
from imagesvc import service as services
from imagesvc.cmd import manage
from imagesvc.worker import runner
from tests import migrated
from tests.catalog_folder import Folder
from tests.unit.cmd.test_manage_quota import CONF

MORE = "[image]\ndetect = off\n[worker]\npoll_interval_s = 0.05\n"


@pytest.fixture
def folder(tmp_path):
    """What the operator built."""
    return Folder(tmp_path / "catalog")


@pytest.fixture
def run(tmp_path, capsys, monkeypatch):
    """Run the command while a worker runs: code, lines, complaint."""
    monkeypatch.setenv(opts.CONF_VARIABLE, "")
    key = tmp_path / "installation.key"
    key.write_text(secrets.token_hex(32))
    key.chmod(0o600)
    path = tmp_path / "imagesvc.conf"
    path.write_text(CONF.format(folder=tmp_path).replace("[quota]\nimages = 5\n", MORE))
    migrated.make(f"sqlite:///{tmp_path}/imagesvc.sqlite")
    service = services.build(opts.load(path), monitor=False)
    stop = threading.Event()
    worker = threading.Thread(target=runner.Runner(service, "w").run_forever, args=(stop,))
    worker.start()

    def go(*args):
        code = manage.main(["--config-file", str(path), "catalog", *args])
        said = capsys.readouterr()
        return code, said.out.splitlines(), said.err

    yield go
    stop.set()
    worker.join()
    service.close()


def test_a_sync_that_prunes_prints_what_it_pruned(folder, run, monkeypatch):
    monkeypatch.setenv("OS_CATALOG__PRUNE_AFTER_SYNC", "true")
    folder.family("alpha", keep=1)
    folder.put("alpha", "1")
    first = run("sync")[1]
    assert not [line for line in first if "pruned" in line]
    folder.put("alpha", "2")
    code, lines, _ = run("sync")
    assert (code, lines[-1].startswith("alpha: pruned image ")) == (0, True)
    assert run("prune") == (0, [], "")


def test_a_sync_prints_what_its_plan_said(folder, run, tmp_path):
    folder.put("alpha", "1")
    folder.put("beta", "1")
    code, planned, _ = run("plan")
    assert (code, len(planned)) == (0, 6)
    code, done, _ = run("sync")
    assert (code, sorted(done)) == (0, sorted(planned))
    assert run("plan") == (0, ["alpha: nothing new", "beta: nothing new"], "")
    assert run("sync", "alpha") == (0, ["alpha: nothing new"], "")

    lock = tmp_path / "catalog.lock"
    lock.write_text("\n".join(run("lock")[1]))
    assert sorted(json.loads(lock.read_text())["families"]) == ["alpha", "beta"]
    folder.put("alpha", "2")
    code, lines, _ = run("plan", "--locked", str(lock))
    assert (code, lines) == (0, ["alpha: nothing new", "beta: nothing new"])
    run("sync", "alpha")
    code, lines, _ = run("sync", "alpha", "--locked", str(lock))
    assert (code, "older than the published 2" in lines[0]) == (1, True)

    code, lines, _ = run("rollback", "alpha")
    assert (code, lines[0].startswith("alpha: build 1 (image")) == (0, True)
    code, lines, _ = run("verify")
    assert (code, [line.split(": ")[1] for line in lines]) == (0, ["good"] * 3)
    code, lines, _ = run("prune")
    assert (code, len(lines), "one of the last 3" in lines[0]) == (0, 1, True)


def test_a_family_that_fails_is_a_line_and_the_others_go_on(folder, run):
    folder.put("alpha", "1")
    folder.put("beta", "1")
    (folder.path / "beta" / "1" / "disk.raw").write_bytes(b"other bytes")
    code, lines, _ = run("sync")
    assert (code, len(lines)) == (1, 4)
    assert any("beta: failed: The bytes that came do not have the digest" in one for one in lines)
    code, lines, _ = run("list")
    assert (code, lines[1].split()[:2], lines[2].split()[:2]) == (1, ["alpha", "1"], ["beta", "-"])
    assert run("plan", "gamma")[0] == 2
    assert run("plan", "--locked", "/nowhere")[2].startswith("imagesvc-manage: /nowhere cannot")


def test_old_images_are_deleted_only_with_yes(folder, run):
    folder.family("alpha", keep=1)
    for build in "12":
        folder.put("alpha", build)
        run("sync")
    code, lines, _ = run("prune")
    assert (code, lines[-1]) == (0, "nothing was deleted: give --yes")
    assert run("prune", "--yes")[1] == lines[:1]
    assert run("prune")[1] == []
