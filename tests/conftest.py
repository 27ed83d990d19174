"""Fixtures of all tests."""

from collections.abc import Iterator

import pytest

from tests.postgresql_server import PostgresqlServer


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[PostgresqlServer]:
    """A PostgreSQL 15 of this test process; each caller makes databases of its own."""
    server = PostgresqlServer()
    try:
        server.start()
        yield server
    finally:
        server.stop()
