"""A migrated database on each engine, fresh for each test."""

import shutil

import pytest

from imagesvc.db import migrate
from imagesvc.db.engine import Database


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory):
    path = tmp_path_factory.mktemp("template") / "t.sqlite"
    migrate.upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture
def sqlite_url(sqlite_template, tmp_path):
    path = tmp_path / "db.sqlite"
    shutil.copy(sqlite_template, path)
    return f"sqlite:///{path}"


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request):
    """The URL of a migrated, empty database."""
    return request.getfixturevalue(f"{request.param}_url")


@pytest.fixture
def database(url):
    """That database."""
    opened = Database(url)
    yield opened
    opened.dispose()


@pytest.fixture
def postgresql(postgresql_url):
    """An empty database on PostgreSQL alone."""
    opened = Database(postgresql_url)
    yield opened
    opened.dispose()
