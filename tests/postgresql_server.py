"""A temporary PostgreSQL cluster on a unix socket, without fsync."""

import os
import pathlib
import shutil
import subprocess
import tempfile
import uuid

import sqlalchemy as sa

BIN = pathlib.Path("/usr/lib/postgresql/15/bin")
OPTIONS = (
    "-c fsync=off -c synchronous_commit=off -c full_page_writes=off -c listen_addresses='' "
    "-c max_connections=200 -c shared_buffers=64MB -c autovacuum=off -c jit=off"
)


class PostgresqlServer:
    """`start`, any number of `create`, `stop`. As root it runs as user postgres.

    `more` are options of the server. It may `crash` and `resume` in between; what is committed
    outlives that only with `synchronous_commit=on`.
    """

    def __init__(self, more: str = "") -> None:
        self._options = f"{OPTIONS} {more}"
        # A short path: unix socket paths stop at 107 bytes.
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))

    def start(self) -> None:
        """Make the cluster and wait until it answers."""
        if os.geteuid() == 0:
            shutil.chown(self.folder, "postgres", "postgres")
        data = self.folder / "data"
        self._run("initdb", "-D", str(data), "-A", "trust", "-U", "postgres", "--no-sync")
        self.resume()

    def crash(self) -> None:
        """End it as a crash does: nobody is waited for, nothing is written."""
        self._run("pg_ctl", "-D", str(self.folder / "data"), "-w", "-m", "immediate", "stop")

    def resume(self) -> None:
        """Start it again, and wait until it answers."""
        data, log = str(self.folder / "data"), str(self.folder / "log")
        options = f"{self._options} -c unix_socket_directories={self.folder}"
        self._run("pg_ctl", "-D", data, "-w", "-t", "60", "-l", log, "-o", options, "start")

    def stop(self) -> None:
        """End the cluster and remove its folder."""
        data = self.folder / "data"
        if (data / "postmaster.pid").exists():
            self.crash()
        shutil.rmtree(self.folder, ignore_errors=True)

    def create(self, template: str = "template1") -> str:
        """A new database; returns its URL."""
        name = f"t{uuid.uuid4().hex}"
        self._admin(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        return self.url(name)

    def drop(self, url: str) -> None:
        """Remove a database, whoever is connected."""
        self._admin(f'DROP DATABASE IF EXISTS "{sa.make_url(url).database}" WITH (FORCE)')

    def url(self, name: str) -> str:
        """The URL of a database."""
        return f"postgresql://postgres@/{name}?host={self.folder}"

    def _admin(self, statement: str) -> None:
        url = sa.make_url(self.url("postgres")).set(drivername="postgresql+psycopg")
        engine = sa.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
        with engine.connect() as conn:
            conn.exec_driver_sql(statement)
        engine.dispose()

    def _run(self, tool: str, *arguments: str) -> None:
        command = [str(BIN / tool), *arguments]
        if os.geteuid() == 0:
            command = ["runuser", "-u", "postgres", "--", *command]
        # Into a file: the server would hold a pipe open for as long as it lives.
        with (self.folder.parent / f"{self.folder.name}.out").open("w+b") as output:
            done = subprocess.run(command, stdout=output, stderr=output, cwd="/", check=False)
            output.seek(0)
            text = output.read().decode()
        pathlib.Path(output.name).unlink()
        if done.returncode:
            raise RuntimeError(f"{tool} ended with {done.returncode}: {text}")
