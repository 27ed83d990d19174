"""An installation in a folder of its own, and its operator at the command line."""

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import pytest

CONF = """
[service]
state_dir = {folder}
[database]
url = sqlite:///{folder}/imagesvc.sqlite
[storage_local]
directory = {folder}/store
[compute_local]
state_dir = {folder}/compute
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
        """Run a command of `imagesvc.cmd`; gives the ended process."""
        return subprocess.run(
            [sys.executable, "-m", f"imagesvc.cmd.{command}", *args],
            input=text,
            capture_output=True,
            text=True,
            timeout=120,
            env=os.environ | {"IMAGESVC_CONF": str(self.folder / "imagesvc.conf")} | environment,
        )

    def configure(self, more):
        """Add to the configuration."""
        with (self.folder / "imagesvc.conf").open("a") as file:
            file.write(more)


@pytest.fixture
def bare(tmp_path):
    """A configuration without database and key."""
    (tmp_path / "imagesvc.conf").write_text(CONF.format(folder=tmp_path))
    return Installation(tmp_path)


@pytest.fixture
def installation(bare):
    """One that is ready, with a user."""
    made = bare.run("manage", "db", "upgrade")
    assert made.returncode == 0, made.stderr
    grant = ("identity", "grant", "--create", "admin", "admin", "admin")
    made = bare.run("manage", *grant, text="secret")
    assert made.returncode == 0, made.stderr
    return bare
