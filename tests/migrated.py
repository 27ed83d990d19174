"""Databases with all tables and no rows, made by the migrations once a process."""

import functools
import shutil
import tempfile
from pathlib import Path

from imagesvc.db import migrate

SQLITE = "sqlite:///"


def make(url):
    """Bring a new database to the newest revision, if it is not: one of SQLite as a copy."""
    if not url.startswith(SQLITE):
        migrate.upgrade(url)
    elif not Path(url.removeprefix(SQLITE)).exists():
        shutil.copyfile(_template(), url.removeprefix(SQLITE))


@functools.cache
def _template():
    folder = tempfile.TemporaryDirectory(prefix="imagesvc-template-")
    _kept.append(folder)
    path = Path(folder.name) / "imagesvc.sqlite"
    migrate.upgrade(f"{SQLITE}{path}")
    return path


_kept = []
