"""Databases with all tables and no rows, made by the migrations once a process."""

import functools
import shutil
import tempfile
from pathlib import Path

from imagesvc.db import migrate

SQLITE = "sqlite:///"


def make(url):
    """Bring a new SQLite file to the newest revision; those of PostgreSQL are made so."""
    if url.startswith(SQLITE) and not Path(url.removeprefix(SQLITE)).exists():
        shutil.copyfile(_template(), url.removeprefix(SQLITE))


@functools.cache
def _template():
    folder = tempfile.TemporaryDirectory(prefix="imagesvc-template-")
    _kept.append(folder)
    path = Path(folder.name) / "imagesvc.sqlite"
    migrate.upgrade(f"{SQLITE}{path}")
    return path


_kept = []
