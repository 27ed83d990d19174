"""An installation on either engine with servers on paper, and its workers as processes.

Workers are forked from a process that has imported everything: the storm needs hundreds.
"""

import os
import secrets
import sys

import pytest
import sqlalchemy as sa

from imagesvc import opts
from imagesvc import service as services
from imagesvc.cmd import worker
from imagesvc.context import RequestContext
from imagesvc.db import doomed, image_disk, job_table, metadata, pending
from imagesvc.domain.image import NewImage
from imagesvc.manager import audit_verify, store_verify
from imagesvc.worker import reaper
from tests import migrated
from tests.crash import forked
from tests.crash.ledger_compute import DISK, LedgerBackends
from tests.crash.station import until

CONF = """
[service]
state_dir = {folder}
[worker]
threads = 1
poll_interval_s = 0.05
lease_s = {lease_s}
upload_stale_s = 1.0
reap_interval_s = 0.2
retry_s = 0
drain_s = {drain_s}
project_cap = 100
[database]
url = {url}
[storage_local]
directory = {folder}/store
[compute_local]
state_dir = {folder}/compute
accelerator = tcg
[identity_local]
path = {folder}/identity.sqlite
[audit_sink_local]
path = {folder}/audit.jsonl
"""
CALLER = RequestContext("storm", "storm-project", frozenset({"member"}), request_id="req-storm")


def work(path, log, environment, point):
    """A worker process: what `imagesvc-worker` does, with compute from the ledger."""
    forked.become(log, environment, point)
    services.Backends = LedgerBackends
    sys.exit(worker.main(["--config-file", str(path)]))


class PaperStation:
    """The folder, a service of this process on it, and worker processes."""

    def __init__(self, folder, url, *, lease_s=1.0, drain_s=5.0):
        self.folder = folder
        self.path = folder / "imagesvc.conf"
        self.path.write_text(CONF.format(folder=folder, url=url, lease_s=lease_s, drain_s=drain_s))
        key = folder / "installation.key"
        key.write_text(secrets.token_hex(32))
        key.chmod(0o600)
        migrated.make(url)
        kept, services.Backends = services.Backends, LedgerBackends
        try:
            self.service = services.build(opts.load(self.path), monitor=False)
        finally:
            services.Backends = kept
        self.compute = self.service.backends.compute()
        self.hold = folder / "hold"
        self.workers = []
        self._logs = 0

    def start(self, point=""):
        """A new worker process, to die at the crash point `point`."""
        self._logs += 1
        log = self.folder / f"worker-{self._logs}.log"
        made = forked.FORKS.Process(target=work, args=(self.path, log, dict(os.environ), point))
        made.start()
        made.log = log
        self.workers.append(made)
        return made

    def image(self):
        """An active image, to make servers from."""
        new = NewImage(name="source", disk_format="raw", container_format="bare")
        image = self.service.images.create(CALLER, new)
        (self.folder / "source").write_bytes(DISK)
        with (self.folder / "source").open("rb") as source:
            return self.service.image_files.upload(CALLER, image.id, source, len(DISK))

    def capture(self, name="server"):
        """A job that captures a server of its own."""
        server_id = f"{name}-{secrets.token_hex(4)}"
        self.compute.add_server(server_id, CALLER.project_id)
        return self.service.captures.start(CALLER, server_id=server_id, name=name)[1]

    def create(self, image, count=2):
        """A job that creates servers."""
        return self.service.servers.create(CALLER, image_id=image.id, name="x", count=count)

    def job(self, job):
        """The job as it is now."""
        return self.service.jobs.get(CALLER, job.id)

    def ended(self, jobs):
        """Wait until these jobs have ended; as they are then."""
        wanted = [job.id for job in jobs]
        table = job_table.TABLE
        left = sa.select(sa.func.count()).where(
            table.c.id.in_(wanted), table.c.finished_at.is_(None)
        )

        def none_left():
            with self.service.database.read() as conn:
                return conn.scalar(left) == 0

        until(none_left, 240)
        return [self.job(job) for job in jobs]

    def rows(self):
        """All of jobs, steps, images and disks: what a stale worker must not change."""
        with self.service.database.read() as conn:
            return {
                table: conn.execute(sa.text(f"SELECT * FROM {table} ORDER BY 1, 2")).all()
                for table in ("job", "job_step", "image", "image_disk", "image_location")
            }

    def bytes_of(self, image_id):
        """The bytes of an active image."""
        with self.service.image_files.download(CALLER, image_id).open() as stream:
            return stream.read()

    def check_clean(self):
        """No lease is held, no bytes wait or are lost, and the trail is whole."""
        table = job_table.TABLE
        with self.service.database.read() as conn:
            held = sa.or_(table.c.worker.is_not(None), table.c.lease_until.is_not(None))
            assert conn.scalars(sa.select(table.c.id).where(held)).all() == []

        def nothing_waits():
            reaper.run(self.service)
            with self.service.database.read() as conn:
                return not doomed.list(conn, 10) and not pending.stale(conn, metadata.now())

        until(nothing_waits)
        verdict = store_verify.verify(self.service.database, self.service.backends, older_than_s=0)
        assert verdict.findings == []
        assert verdict.objects == verdict.rows
        key = self.service.audit_key
        assert audit_verify.Verifier(self.service.database, key, pytest.fail).verify().faults == 0

    def disks(self, image_id):
        """The disks of an image."""
        with self.service.database.read() as conn:
            return image_disk.list_for(conn, image_id)

    def stop(self):
        """End the workers that still run; their exit codes."""
        for one in self.workers:
            if one.is_alive():
                one.terminate()
        for one in self.workers:
            one.join(30)
            if one.is_alive():
                one.kill()
                one.join()
        codes = [one.exitcode for one in self.workers]
        for one in self.workers:
            one.close()
        self.workers = []
        return codes

    def close(self):
        """End everything."""
        self.stop()
        self.service.close()
