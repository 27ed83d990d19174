"""`imagesvc-manage backend check` holds backends in use to their laws, and leaves nothing."""

import subprocess
import sys
import textwrap

import pytest

from imagesvc.testing import live
from imagesvc.testing.conformance.storage import StorageConformance

FAULTY = """
    from imagesvc.interface import storage
    from imagesvc.testing import live
    from imagesvc_drivers.storage.file import FileStorage

    class Forgetful(FileStorage):
        def usage(self):
            return storage.Usage(used_bytes=-1, total_bytes=None)

        def delete(self, key):
            raise RuntimeError("no") if "-copy" in key else None

    subject = live.Subject("storage", storage.VERSION, Forgetful, "local", {"directory": "DIR", "mirror_directory": None})
    for verdict in live.check(subject):
        if verdict.outcome == "broken":
            print(f"{verdict.law}: {verdict.cause}")
"""


def files(folder):
    """Every file of the stores of an installation."""
    return [path for path in (folder / "store").rglob("*") if path.is_file()]


@pytest.mark.peer
def test_a_default_installation_keeps_every_law(installation):
    done = installation.run("manage", "backend", "check")
    assert (done.returncode, done.stderr) == (0, "")
    for kind in ("storage", "compute", "encryption", "identity", "audit_sink", "converter"):
        assert f"{kind} local: ok" in done.stdout
    assert "kept         bytes are not readable before commit" in done.stdout
    assert "kept         nothing of this check is left" in done.stdout
    assert "broken  " not in done.stdout
    assert files(installation.folder) == []
    # Laws of one kind are no laws of another.
    assert done.stdout.count("of two writers of one key one wins whole") == 1


def test_a_law_that_is_broken_is_named_and_so_is_what_is_left(tmp_path):
    script = textwrap.dedent(FAULTY).replace("DIR", str(tmp_path))
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    broken = dict(line.split(": ", 1) for line in done.stdout.splitlines())
    assert broken["usage is told"] == "assert usage.used_bytes >= 0"
    assert "delete can be repeated" in broken
    assert "nothing of this check is left" in broken


def test_a_backend_that_is_down_is_code_1_without_laws(installation):
    (installation.folder / "file").write_text("")
    installation.configure(f"[compute_local]\nbinary = {installation.folder}/file\n")
    done = installation.run("manage", "backend", "check", "compute")
    assert done.returncode == 1
    assert "compute local: " in done.stdout
    assert "kept" not in done.stdout


def test_without_pytest_the_laws_are_asked_for_in_one_line(installation):
    script = (
        "import sys; sys.modules['pytest'] = None\n"
        "from imagesvc.cmd import manage; sys.exit(manage.main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", script, "--config-file", installation.folder / "imagesvc.conf"]
    check = ["backend", "check", "storage"]
    done = subprocess.run([*command, *check], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "need pytest, which is not installed" in done.stderr
    done = subprocess.run(
        [*command, *check, "--probe-only"], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout.count("\n")) == (0, 1)


@pytest.mark.parametrize("names", [live._STORAGE_UNSAFE, live._IDENTITY_SAFE])
def test_the_chosen_laws_exist(names):
    known = set(dir(StorageConformance)) | set(dir(live._suite_class("identity")))
    assert names <= known


def test_no_law_that_kills_runs_against_a_backend_in_use():
    assert not {name for name in live.safe_laws("storage") if "kill" in name}
