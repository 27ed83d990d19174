"""Fixtures of all tests."""

import gc
import os
from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from imagesvc.db import migrate
from tests import s3_server
from tests.keystone_server import KeystoneServer
from tests.openbao_server import OpenbaoServer
from tests.postgresql_server import PostgresqlServer


def pytest_collection_finish() -> None:
    """What was collected stays to the end: the garbage collector need not look at it each time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[PostgresqlServer]:
    """A PostgreSQL 15 of this test process; each caller makes databases of its own."""
    server = PostgresqlServer()
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="session")
def postgresql_template(postgresql_server):
    """Name of a migrated database without rows, to be copied."""
    url = postgresql_server.create()
    migrate.upgrade(url)
    return sa.make_url(url).database


@pytest.fixture
def postgresql_url(postgresql_server, postgresql_template):
    """URL of a migrated, empty database on PostgreSQL."""
    url = postgresql_server.create(postgresql_template)
    yield url
    postgresql_server.drop(url)


@pytest.fixture(scope="session")
def keystone_server() -> Iterator[KeystoneServer]:
    """A Keystone of this test process; each caller makes users and projects of its own.

    Mark tests with `xdist_group("keystone")`, so that one process alone starts one.
    """
    server = KeystoneServer()
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture(scope="session")
def openbao_server() -> Iterator[OpenbaoServer]:
    """A KMS of this test process; each caller makes keys of its own.

    Mark tests with `xdist_group("openbao")`, so that one process alone starts one.
    """
    server = OpenbaoServer()
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture(scope="session")
def s3_place(tmp_path_factory):
    """A real S3 server, one for all test processes of a run; each test takes a prefix of its own."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    with s3_server.shared(folder) as place:
        yield place


@pytest.fixture(scope="session")
def keystone_service(
    tmp_path_factory, keystone_server, postgresql_server, postgresql_template, s3_place
):
    """The tour environment: API and worker on `keystone_server`, PostgreSQL and S3.

    It stands in Keystone's catalog as `image`, and clients find the clouds of
    `tests.keystone_service.CLOUDS` in its `clouds.yaml`: admin, demo (member), reader, manager,
    other (another project), nova (role service). Use `openstack(...)`, `json(...)` and `run(...)`
    for commands, `url`, `keystone.token(user, project)` and `projects` for everything else. Its
    stores are `main` (S3) and `near` (files); what lies in `web_root` can be imported from
    `web_url`. A test with another configuration calls
    `tests.keystone_service.started(folder, keystone_server, more)` itself. Mark tests with
    `xdist_group("keystone")`.
    """
    # Here, so that only these tests load the conftest of the clients.
    from tests import keystone_service

    folder = tmp_path_factory.mktemp("keystone")
    url = postgresql_server.create(postgresql_template)
    with keystone_service.web(folder / "web") as (root, address):
        more = keystone_service.scaled(folder, url, s3_place, address)
        with keystone_service.started(folder, keystone_server, more) as service:
            service.web_root, service.web_url = root, address
            service.run(
                "imagesvc-manage", "--config-file", folder / "imagesvc.conf", "metadef", "load"
            )
            yield service
    postgresql_server.drop(url)
