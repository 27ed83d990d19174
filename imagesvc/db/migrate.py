"""Bringing a database to the schema of this release; forward only."""

import pathlib

import alembic.command
import alembic.config
import alembic.runtime.migration
import alembic.script
import sqlalchemy as sa

from imagesvc.db import engine

# Only one process migrates a PostgreSQL database at a time.
_LOCK = 7_302_614_205_518_847


def upgrade(url: str) -> None:
    """Bring the schema to `head()`, in one transaction; a database that is there stays as it is."""
    database = engine.Database(url)
    config = _config()
    with database.write() as conn:
        if conn.dialect.name == "postgresql":
            conn.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
        config.attributes["connection"] = conn
        alembic.command.upgrade(config, "head")
    database.dispose()


def current(url: str) -> str | None:
    """The schema version of the database; None before the first upgrade."""
    database = engine.Database(url)
    with database.read() as conn:
        found = alembic.runtime.migration.MigrationContext.configure(conn).get_current_revision()
    database.dispose()
    return found


def head() -> str:
    """The schema version of this release."""
    revision = alembic.script.ScriptDirectory.from_config(_config()).get_current_head()
    return str(revision)


def _config() -> alembic.config.Config:
    config = alembic.config.Config()
    config.set_main_option("script_location", str(pathlib.Path(__file__).parent / "migration"))
    config.set_main_option("path_separator", "os")
    return config
