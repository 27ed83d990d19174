"""A compute driver whose servers and snapshots are rows of a file that many processes share.

Why a fake: the storm kills workers hundreds of times, and needs to know of each effect how often
it was had. It keeps the law of tokens as real drivers do: the same token twice is one work.
Files in its folder tell it what to do: `hold` makes every reader of a snapshot wait while it is
there; a server named `poison-...` kills the process that reads its snapshot; `written` holds the id
of an image that a cloud wrote here as each snapshot.
"""

import contextlib
import dataclasses
import io
import json
import os
import signal
import sqlite3
import time
from pathlib import Path

from imagesvc.backend.registry import Backends
from imagesvc.interface import base, compute, errors
from imagesvc.interface.operation import Progress, ProgressState

DISK = bytes(range(256)) * 1024
BLOCK = 64 * 1024
POLLS = 2
ANSWER_S = 0.1
SCHEMA = """
CREATE TABLE IF NOT EXISTS work (handle TEXT PRIMARY KEY, state TEXT, polls INT, facts TEXT,
    result TEXT);
CREATE TABLE IF NOT EXISTS server (id TEXT PRIMARY KEY, project TEXT);
CREATE TABLE IF NOT EXISTS snapshot (id TEXT PRIMARY KEY);
CREATE TABLE IF NOT EXISTS event (n INTEGER PRIMARY KEY, pid INT, what TEXT, subject TEXT);
"""


class LedgerCompute(compute.ComputeDriver):
    """Its effects are rows; `events` says who did what."""

    contract = compute.VERSION

    def __init__(self, folder):
        super().__init__(None, backend_id="ledger")
        self.folder = folder
        with self._ledger() as ledger:
            ledger.executescript(SCHEMA)

    @contextlib.contextmanager
    def _ledger(self):
        opened = sqlite3.connect(self.folder / "ledger.sqlite", timeout=60, isolation_level=None)
        try:
            opened.execute("PRAGMA synchronous = OFF")
            opened.execute("BEGIN IMMEDIATE")
            yield opened
            opened.commit()
        finally:
            opened.close()

    def _note(self, ledger, what, subject):
        ledger.execute("INSERT INTO event VALUES (NULL, ?, ?, ?)", (os.getpid(), what, subject))

    def add_server(self, server_id, project_id):
        """A server that was always there."""
        with self._ledger() as ledger:
            ledger.execute("INSERT INTO server VALUES (?, ?)", (server_id, project_id))

    def events(self, what):
        """(process id, subject) of each event of that kind."""
        with self._ledger() as ledger:
            rows = ledger.execute(
                "SELECT pid, subject FROM event WHERE what = ? ORDER BY n", (what,)
            )
            return rows.fetchall()

    def rows(self, table):
        """Ids of the servers, snapshots or works."""
        column = "handle" if table == "work" else "id"
        with self._ledger() as ledger:
            return {row[0] for row in ledger.execute(f"SELECT {column} FROM {table}")}

    def info(self):
        images = compute.ComputeCapability.SNAPSHOT_IMAGE
        promised = {images} if (self.folder / "written").exists() else set()
        return base.DriverInfo(
            "ledger", "test", "1", {compute.ComputeCapability.DATA_DISK, *promised}
        )

    def snapshot_image(self, snapshot_id):
        return (self.folder / "written").read_text()

    def health(self):
        return base.Health(base.HealthState.OK)

    def get_server(self, server_id, *, project_id):
        with self._ledger() as ledger:
            found = ledger.execute(
                "SELECT 1 FROM server WHERE id = ? AND project = ?", (server_id, project_id)
            ).fetchone()
        if found is None:
            raise errors.NotFound("No such server.")
        disks = (compute.ServerDisk("vda", len(DISK), True),)
        state = compute.ServerState.RUNNING
        return compute.Server(server_id, project_id, "paper", state, "linux", "x86_64", disks)

    def list_servers(self, project_id, *, after=None, limit=100):
        with self._ledger() as ledger:
            rows = ledger.execute(
                "SELECT id FROM server WHERE project = ? AND id > ? ORDER BY id LIMIT ?",
                (project_id, after or "", limit),
            ).fetchall()
        return [self.get_server(key, project_id=project_id) for (key,) in rows]

    def _start(self, kind, token, facts):
        handle = f"{kind}/{token}"
        with self._ledger() as ledger:
            ledger.execute(
                "INSERT OR IGNORE INTO work VALUES (?, 'running', 0, ?, NULL)",
                (handle, json.dumps(facts)),
            )
        time.sleep(ANSWER_S)  # begun, and the caller does not know yet: here a kill hurts most
        return handle

    def start_create(self, spec, count, token):
        return self._start("create", token, {"count": count, "project": spec.project_id})

    def start_snapshot(self, server_id, disk_id, token, *, project_id, quiesce=False):
        self.get_server(server_id, project_id=project_id)
        return self._start("snapshot", token, {"server": server_id})

    def start_server(self, server_id, *, project_id):
        self.get_server(server_id, project_id=project_id)

    stop_server = start_server

    def delete_server(self, server_id, *, project_id):
        with self._ledger() as ledger:
            if ledger.execute("DELETE FROM server WHERE id = ?", (server_id,)).rowcount:
                self._note(ledger, "server deleted", server_id)

    def snapshot_size(self, snapshot_id):
        return len(DISK)

    def open_snapshot(self, snapshot_id, *, offset=0):
        with self._ledger() as ledger:
            found = ledger.execute("SELECT 1 FROM snapshot WHERE id = ?", (snapshot_id,)).fetchone()
            self._note(ledger, "snapshot opened", snapshot_id)
        if found is None:
            raise errors.NotFound("No such snapshot.")
        if "poison-" in snapshot_id:
            os.kill(os.getpid(), signal.SIGKILL)
        return _SlowReader(DISK[offset:], self.folder / "hold")

    def delete_snapshot(self, snapshot_id):
        with self._ledger() as ledger:
            if ledger.execute("DELETE FROM snapshot WHERE id = ?", (snapshot_id,)).rowcount:
                self._note(ledger, "snapshot deleted", snapshot_id)

    def read_console(self, server_id, *, project_id, offset=0):
        return b""

    def poll(self, handle):
        with self._ledger() as ledger:
            row = ledger.execute(
                "UPDATE work SET polls = polls + 1 WHERE handle = ? "
                "RETURNING state, polls, facts, result",
                (handle,),
            ).fetchone()
            if row is None:
                raise errors.NotFound("No such work.")
            state, polls, facts, result = row
            if state == "running" and polls >= POLLS:
                state, result = "done", json.dumps(self._end(ledger, handle, json.loads(facts)))
                ledger.execute(
                    "UPDATE work SET state = ?, result = ? WHERE handle = ?",
                    (state, result, handle),
                )
        return Progress(ProgressState(state), result=json.loads(result) if result else None)

    def _end(self, ledger, handle, facts):
        if handle.startswith("snapshot/"):
            made = f"{facts['server']}-{handle}"
            ledger.execute("INSERT INTO snapshot VALUES (?)", (made,))
            self._note(ledger, "snapshot made", made)
            return made
        made = [f"{handle}-{n}" for n in range(facts["count"])]
        for key in made:
            ledger.execute("INSERT INTO server VALUES (?, ?)", (key, facts["project"]))
            self._note(ledger, "server made", key)
        return [dataclasses.asdict(compute.CreatedServer(key)) for key in made]

    def cancel(self, handle):
        with self._ledger() as ledger:
            ledger.execute(
                "UPDATE work SET state = 'cancelled' WHERE handle = ? AND state = 'running'",
                (handle,),
            )


class _SlowReader(io.RawIOBase):
    """A disk that takes its time: some milliseconds a block, or as long as the hold lasts."""

    def __init__(self, data, hold):
        super().__init__()
        self._data = io.BytesIO(data)
        self._hold = hold

    def readable(self):
        return True

    def readinto(self, buffer):
        while self._hold.exists():
            time.sleep(0.02)
        time.sleep(0.005)
        block = self._data.read(min(BLOCK, len(buffer)))
        buffer[: len(block)] = block
        return len(block)


class LedgerBackends(Backends):
    """The configured backends, with compute from the ledger beside the configuration."""

    def __init__(self, conf):
        super().__init__(conf)
        self._compute = LedgerCompute(Path(conf.service.state_dir))

    def compute(self, backend_id=None):
        return self._compute
