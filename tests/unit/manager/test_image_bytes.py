"""Signs of life of an upload, on a PostgreSQL that goes away in the middle."""

import time

import pytest
import sqlalchemy as sa

from imagesvc.domain.image import NewImage
from tests.unit.worker.conftest import CALLER

BLOCK = bytes(1 << 20)
INTERVAL_S = 0.01


@pytest.fixture
def url(postgresql_url):
    """A database that can be shut."""
    return postgresql_url


@pytest.fixture
def image_id(service):
    """A queued image."""
    new = NewImage(name="x", disk_format="raw", container_format="bare")
    return service.images.create(CALLER, new).id


class Door:
    """The database, to be shut and opened."""

    def __init__(self, postgresql_server, url):
        parsed = sa.make_url(url).set(drivername="postgresql+psycopg")
        self._name = parsed.database
        self._engine = sa.create_engine(
            parsed.set(database="postgres"), isolation_level="AUTOCOMMIT", poolclass=sa.NullPool
        )

    def _do(self, statement):
        with self._engine.connect() as conn:
            conn.exec_driver_sql(statement)

    def shut(self):
        self._do(f'ALTER DATABASE "{self._name}" ALLOW_CONNECTIONS false')
        self._do(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
            f"WHERE datname = '{self._name}'"
        )

    def open(self):
        self._do(f'ALTER DATABASE "{self._name}" ALLOW_CONNECTIONS true')


@pytest.fixture
def door(postgresql_server, url):
    """The door of this test's database."""
    return Door(postgresql_server, url)


class Reader:
    """Blocks, with something done before each."""

    def __init__(self, *acts):
        self._acts = list(acts)

    def read(self, size, /):
        if not self._acts:
            return b""
        time.sleep(2 * INTERVAL_S)
        act = self._acts.pop(0)
        if act:
            act()
        return BLOCK


def send(service, image_id, reader, size):
    """An upload that gives a sign of life with each block."""
    return service.image_files.upload(CALLER, image_id, reader, size)


@pytest.mark.parametrize("announced", [True, False])
def test_an_upload_outlives_a_database_that_is_away_for_a_moment(
    service, image_id, door, monkeypatch, announced
):
    monkeypatch.setattr(service.image_files, "_heartbeat_s", INTERVAL_S)
    reader = Reader(None, door.shut, None, door.open, None)
    sent = send(service, image_id, reader, 5 * len(BLOCK) if announced else None)
    assert (sent.status, sent.size_bytes) == ("active", 5 * len(BLOCK))


def test_bytes_that_may_pass_the_quota_are_not_taken_on_trust(service, image_id, door, monkeypatch):
    monkeypatch.setattr(service.image_files, "_heartbeat_s", INTERVAL_S)
    admin = CALLER.__class__("admin", "project", frozenset({"admin"}), is_admin=True)
    service.quotas.set_limits(admin, "project", {"stored_bytes": len(BLOCK) * 2})
    reader = Reader(None, door.shut, None, None, None)
    with pytest.raises(sa.exc.OperationalError):
        send(service, image_id, reader, None)
    door.open()
    assert service.images.get(CALLER, image_id).status == "saving"  # the reaper's, later
