"""An installation in a folder of its own, and its operator at the command line."""

import atexit
import dataclasses
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests import command_server

SERVER = command_server.CommandServer(command_server.OURS)
atexit.register(SERVER.stop)

CONF = """
[service]
state_dir = {folder}
[database]
url = sqlite:///{folder}/imagesvc.sqlite
[storage_local]
directory = {folder}/store
[compute_local]
state_dir = {folder}/compute
accelerator = tcg
[identity_local]
path = {folder}/identity.sqlite
[audit_sink_local]
path = {folder}/audit.jsonl
"""


@dataclasses.dataclass
class Installation:
    """Commands run in processes of their own, as an operator runs them."""

    folder: Path

    def run(self, command, *args, text="", **environment):
        """Run `imagesvc-<command>`, in a fork of what has imported it; gives the ended process."""
        program = f"imagesvc-{command}"
        env = os.environ | {"IMAGESVC_CONF": str(self.folder / "imagesvc.conf")} | environment
        if not SERVER.takes(program):
            words = [Path(sys.executable).with_name(program), *args]
            return subprocess.run(
                words, input=text, capture_output=True, text=True, timeout=120, env=env
            )
        with tempfile.TemporaryFile() as stdin:
            stdin.write(text.encode())
            stdin.seek(0)
            done = SERVER.run([program, *args], env=env, stdin=stdin, timeout=120)
        done.stdout, done.stderr = done.stdout.decode(), done.stderr.decode()
        return done

    def configure(self, more):
        """Add to the configuration."""
        with (self.folder / "imagesvc.conf").open("a") as file:
            file.write(more)


@pytest.fixture
def bare(tmp_path):
    """A configuration without database and key."""
    (tmp_path / "imagesvc.conf").write_text(CONF.format(folder=tmp_path))
    return Installation(tmp_path)


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """One that is ready, with a user; to be copied."""
    made = Installation(tmp_path_factory.mktemp("finished"))
    (made.folder / "imagesvc.conf").write_text(CONF.format(folder=made.folder))
    grant = ("identity", "grant", "--create", "admin", "admin", "admin")
    for words in (("db", "upgrade"), grant):
        done = made.run("manage", *words, text="secret")
        assert done.returncode == 0, done.stderr
    return made


@pytest.fixture
def installation(bare, finished):
    """A copy of it, without anything that opening the backends makes."""
    for name in ("installation.key", "imagesvc.sqlite", "identity.sqlite"):
        shutil.copy2(finished.folder / name, bare.folder / name)
    return bare
