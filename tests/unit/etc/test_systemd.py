"""Units, users and folders for systemd are well formed, and say what the service needs."""

import configparser
import shutil
import subprocess
from pathlib import Path

import pytest

from imagesvc import opts
from imagesvc.cmd import command_line, gunicorn_conf, worker
from imagesvc.worker import option as worker_option

ETC = Path(__file__).parents[3] / "etc"
UNITS = sorted((ETC / "systemd" / "system").iterdir())
NAMES = ["imagesvc-api.service", "imagesvc-worker.service"]
SYNC = "imagesvc-catalog.service"
HARDENING = {
    "ProtectSystem": "strict",
    "ProtectHome": "yes",
    "PrivateTmp": "yes",
    "NoNewPrivileges": "yes",
    "CapabilityBoundingSet": "",
    "ProtectKernelModules": "yes",
    "RestrictSUIDSGID": "yes",
    "User": "imagesvc",
    "UMask": "0077",
}


class Multiple(dict):
    """Keeps every value of a repeated key, one a line."""

    def __setitem__(self, key, value):
        if key in self and isinstance(value, list):
            self[key].extend(value)
        else:
            super().__setitem__(key, value)


def service(name):
    """The [Service] section of a unit."""
    found = configparser.RawConfigParser(strict=False, dict_type=Multiple, interpolation=None)
    found.optionxform = str
    found.read(ETC / "systemd" / "system" / name)
    return dict(found["Service"])


def test_there_is_a_unit_for_each_process():
    services = [path.name for path in UNITS if path.suffix == ".service"]
    assert services == sorted([*NAMES, SYNC])


def test_the_nightly_sync_is_hardened_and_has_its_timer():
    found = service(SYNC)
    assert HARDENING.items() <= found.items()
    assert found["Type"] == "oneshot"
    assert "OnCalendar=" in (ETC / "systemd" / "system" / SYNC).with_suffix(".timer").read_text()


@pytest.mark.parametrize("name", NAMES)
def test_a_unit_is_hardened_and_its_servers_outlive_it(name):
    found = service(name)
    assert HARDENING.items() <= found.items()
    assert found["KillMode"] == "process"
    assert found["RestartPreventExitStatus"] == str(command_line.EXIT_REFUSED)
    # What the sandbox of tools and QEMU without KVM need.
    assert not {"RestrictNamespaces", "PrivateUsers", "MemoryDenyWriteExecute"} & found.keys()


def test_a_stop_waits_for_what_runs():
    drain_s = next(one.default for one in worker_option.WORKER_OPTS if one.dest == "drain_s")
    assert float(service(NAMES[1])["TimeoutStopSec"]) > drain_s + worker.RELEASE_S
    assert float(service(NAMES[0])["TimeoutStopSec"]) > gunicorn_conf.graceful_timeout


@pytest.mark.parametrize("name", NAMES)
def test_the_environment_names_options_that_exist(name):
    known = {
        f"OS_{group.upper()}__{option.dest.upper()}"
        for group, options in opts.list_opts()
        for option in options
    }
    named = {line.partition("=")[0] for line in service(name)["Environment"].splitlines()}
    assert {one for one in named if one.startswith("OS_")} <= known


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not installed")
def test_systemd_accepts_the_units(tmp_path):
    for path in UNITS:
        text = path.read_text()
        for command in ("imagesvc-api", "imagesvc-worker", "imagesvc-manage"):
            text = text.replace(f"/usr/bin/{command}", "/bin/true")
        (tmp_path / path.name).write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *(str(tmp_path / path.name) for path in UNITS)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    ours = [line for line in done.stderr.splitlines() if "imagesvc" in line]
    assert (done.returncode, ours) == (0, []), done.stderr


@pytest.mark.skipif(not shutil.which("systemd-sysusers"), reason="systemd is not installed")
def test_systemd_makes_the_user_and_the_folders(tmp_path):
    (tmp_path / "etc").mkdir()
    for command, folder in (
        (["systemd-sysusers"], "sysusers.d"),
        (["systemd-tmpfiles", "--create"], "tmpfiles.d"),
    ):
        done = subprocess.run(
            [*command, f"--root={tmp_path}", str(ETC / folder / "imagesvc.conf")],
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
    assert "\nimagesvc:" in "\n" + (tmp_path / "etc" / "passwd").read_text()
    for place, mode in (("etc", 0o750), ("var/lib", 0o700), ("run", 0o700)):
        assert (tmp_path / place / "imagesvc").stat().st_mode & 0o777 == mode
