"""A compute driver whose servers are rows and files: they boot, say hello, and never compute.

Why a fake: faults of a compute driver have to be made on order. This one keeps all laws, so that
a driver derived from it breaks the one law whose promise it breaks.
"""

import contextlib
import dataclasses
import hashlib
import json
import os
import sqlite3
import uuid
from pathlib import Path

import requests
from oslo_config import cfg

from imagesvc.interface import base, compute, errors
from imagesvc.interface.operation import Progress, ProgressState

SCHEMA = """
CREATE TABLE IF NOT EXISTS work (handle TEXT PRIMARY KEY, state TEXT, facts TEXT, result TEXT);
CREATE TABLE IF NOT EXISTS server (
    id TEXT PRIMARY KEY, project TEXT, name TEXT, image TEXT, sizes TEXT, running INT, log TEXT);
CREATE TABLE IF NOT EXISTS snapshot (id TEXT PRIMARY KEY);
"""
SPACE = uuid.UUID("5e0c8f1c-3d5a-4b0e-9e0b-6f2d3c1a7b90")


class FolderCompute(compute.ComputeDriver):
    """Long work is done by the first `poll`, in one transaction of its own."""

    contract = base.Version(1, 0)
    OPTS = (cfg.StrOpt("directory", required=True, help="Folder of the servers."),)

    def open(self):
        self.folder = Path(self.options.directory)
        self.folder.mkdir(parents=True, exist_ok=True)
        with self.transaction() as conn:
            for statement in SCHEMA.split(";"):
                conn.execute(statement)

    def info(self):
        return base.DriverInfo("folder", "test", "1")

    def health(self):
        self.list_servers("nobody")
        return base.Health(base.HealthState.OK)

    @contextlib.contextmanager
    def transaction(self):
        """One writer at a time; nothing stays of a block that raises or dies."""
        path = self.folder / "state.sqlite"
        with contextlib.closing(sqlite3.connect(path, timeout=60, isolation_level=None)) as conn:
            conn.execute("BEGIN IMMEDIATE")
            yield conn
            conn.execute("COMMIT")

    def row(self, conn, server_id, project_id):
        """A server's row."""
        sql = "SELECT * FROM server WHERE id = ? AND project = ?"
        for row in conn.execute(sql, (server_id, project_id)):
            return row
        raise errors.NotFound(f"There is no server {server_id}.")

    def described(self, row):
        """A server's row in the words of the contract."""
        server_id, project, name, image, sizes, running, _ = row
        state = compute.ServerState.RUNNING if running else compute.ServerState.STOPPED
        disks = tuple(
            compute.ServerDisk(f"disk{n}", size, n == 0) for n, size in enumerate(json.loads(sizes))
        )
        return compute.Server(server_id, project, name, state, "linux", "x86_64", disks, image)

    def get_server(self, server_id, *, project_id):
        with self.transaction() as conn:
            return self.described(self.row(conn, server_id, project_id))

    def list_servers(self, project_id, *, after=None, limit=100):
        sql = "SELECT * FROM server WHERE project = ? AND id > ? ORDER BY id LIMIT ?"
        with self.transaction() as conn:
            found = conn.execute(sql, (project_id, after or "", limit)).fetchall()
        return [self.described(row) for row in found]

    def start(self, kind, token, facts):
        """Note the work, unless the token is known."""
        handle = str(uuid.uuid5(SPACE, f"{kind} {token}"))
        sql = "INSERT OR IGNORE INTO work VALUES (?, 'running', ?, 'null')"
        with self.transaction() as conn:
            conn.execute(sql, (handle, json.dumps({"kind": kind, **facts})))
        return handle

    def start_create(self, spec, count, token):
        names = [f"{spec.name}-{n}" for n in range(1, count + 1)] if count > 1 else [spec.name]
        disks = [
            [str(disk.local_path or disk.url), disk.digest, disk.virtual_size_bytes]
            for disk in spec.disks
        ]
        facts = {"project": spec.project_id, "image": spec.image_id, "names": names, "disks": disks}
        return self.start("create", token, facts)

    def start_snapshot(self, server_id, disk_id, token, *, project_id, quiesce=False):
        if quiesce:
            raise errors.NotSupported("Nothing can be frozen here.")
        if disk_id not in [
            disk.disk_id for disk in self.get_server(server_id, project_id=project_id).disks
        ]:
            raise errors.NotFound(f"There is no disk {disk_id}.")
        return self.start("snapshot", token, {"disk": f"{server_id}.{disk_id}"})

    def poll(self, handle):
        with self.transaction() as conn:
            row = conn.execute("SELECT * FROM work WHERE handle = ?", (handle,)).fetchone()
            if row is None:
                raise errors.NotFound("There is no such work.")
            _, state, facts, result = row
            if state == "running":
                state, result = self.work(conn, handle, json.loads(facts))
                sql = "UPDATE work SET state = ?, result = ? WHERE handle = ?"
                conn.execute(sql, (state, json.dumps(result), handle))
                result = json.dumps(result)
        if state == "failed":
            return Progress(ProgressState.FAILED, error=json.loads(result))
        return Progress(ProgressState(state), result=json.loads(result))

    def work(self, conn, handle, facts):
        """Do all of it; a second time gives the same files."""
        if facts["kind"] == "snapshot":
            self.keep((self.folder / facts["disk"]).read_bytes(), self.folder / handle)
            conn.execute("INSERT INTO snapshot VALUES (?)", (handle,))
            return "done", handle
        for path, digest, _ in facts["disks"]:
            if hashlib.sha512(fetched(path)).hexdigest() != digest:
                return "failed", "The image's bytes are not those of its digest."
        made = [self.make(conn, handle, number, facts) for number in range(len(facts["names"]))]
        return "done", [dataclasses.asdict(compute.CreatedServer(one)) for one in made]

    def make(self, conn, handle, number, facts):
        """One server; gives its id."""
        server_id = str(uuid.uuid5(SPACE, f"{handle} {number}"))
        for n, (path, _, size) in enumerate(facts["disks"]):
            self.keep(fetched(path), self.folder / f"{server_id}.disk{n}", size)
        sizes = json.dumps([size for _, _, size in facts["disks"]])
        name = facts["names"][number]
        row = (server_id, facts["project"], name, facts["image"], sizes, 1, "hello\n")
        conn.execute("INSERT INTO server VALUES (?, ?, ?, ?, ?, ?, ?)", row)
        return server_id

    def keep(self, data, target, size=None):
        """A file that appears whole."""
        part = target.with_name(f"{target.name}.part")
        part.write_bytes(data)
        if size is not None:
            os.truncate(part, size)
        part.rename(target)

    def cancel(self, handle):
        with self.transaction() as conn:
            if not conn.execute("SELECT 1 FROM work WHERE handle = ?", (handle,)).fetchone():
                raise errors.NotFound("There is no such work.")
            sql = "UPDATE work SET state = 'cancelled' WHERE handle = ? AND state = 'running'"
            conn.execute(sql, (handle,))

    def start_server(self, server_id, *, project_id):
        with self.transaction() as conn:
            self.row(conn, server_id, project_id)
            sql = (
                "UPDATE server SET running = 1, log = log || 'hello\n' WHERE id = ? AND NOT running"
            )
            conn.execute(sql, (server_id,))

    def stop_server(self, server_id, *, project_id):
        with self.transaction() as conn:
            self.row(conn, server_id, project_id)
            conn.execute("UPDATE server SET running = 0 WHERE id = ?", (server_id,))

    def delete_server(self, server_id, *, project_id):
        with self.transaction() as conn:
            sql = "DELETE FROM server WHERE id = ? AND project = ?"
            conn.execute(sql, (server_id, project_id))

    def read_console(self, server_id, *, project_id, offset=0):
        with self.transaction() as conn:
            return self.row(conn, server_id, project_id)[-1].encode()[offset:]

    def snapshot_path(self, snapshot_id):
        """The file of a snapshot."""
        with self.transaction() as conn:
            if conn.execute("SELECT 1 FROM snapshot WHERE id = ?", (snapshot_id,)).fetchone():
                return self.folder / snapshot_id
        raise errors.NotFound(f"There is no snapshot {snapshot_id}.")

    def snapshot_size(self, snapshot_id):
        return self.snapshot_path(snapshot_id).stat().st_size

    def open_snapshot(self, snapshot_id, *, offset=0):
        file = self.snapshot_path(snapshot_id).open("rb")
        file.seek(offset)
        return file

    def delete_snapshot(self, snapshot_id):
        with self.transaction() as conn:
            conn.execute("DELETE FROM snapshot WHERE id = ?", (snapshot_id,))


def fetched(place):
    """The bytes of an image, from a file or a URL."""
    if place.startswith("http"):
        return requests.get(place, timeout=60).content
    return Path(place).read_bytes()
