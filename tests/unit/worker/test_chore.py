"""Sealing, sending and sweeping: one round of each."""

import datetime
import json
from pathlib import Path

import pytest

from imagesvc import errors
from imagesvc.context import RequestContext
from imagesvc.db import doomed, lease, pending
from imagesvc.db import image as image_rows
from imagesvc.db import job as job_rows
from imagesvc.domain.image import NewImage
from imagesvc.interface.errors import Unavailable
from imagesvc.manager import audit_verify
from imagesvc.worker import outbox, reaper, seal, stranger
from imagesvc.worker.flow_table import FLOWS
from tests.unit.db import make
from tests.unit.worker.conftest import CALLER

ADMIN = RequestContext("admin", "project", frozenset({"admin"}), is_admin=True)


def create(service, count=1):
    """Image records; each leaves one audit record."""
    new = NewImage(name="x", disk_format="raw", container_format="bare")
    return [service.images.create(CALLER, new) for _ in range(count)][-1]


def sent(service):
    """Event ids in the sink's file."""
    lines = Path(service.conf.audit_sink_local.path).read_text("utf-8").splitlines()
    return [json.loads(line)["event_id"] for line in lines]


def put(service, key):
    """A committed object, announced long ago."""
    with service.database.write() as conn:
        pending.insert(conn, "local", key, "no-image", "nobody")
        past = pending.metadata.now() - datetime.timedelta(hours=1)
        conn.execute(pending.TABLE.update().values(created_at=past))
    with service.backends.storage().open_write(key) as writer:
        writer.write(b"bytes")
        writer.commit()


def test_records_are_sealed_in_batches_and_the_trail_verifies(service, monkeypatch):
    monkeypatch.setattr(seal, "BATCH", 3)
    create(service, 7)
    assert seal.run(service) == 7
    assert seal.run(service) == 0
    verdict = audit_verify.Verifier(service.database, service.audit_key, pytest.fail).verify()
    assert (verdict.sealed, verdict.unsealed, verdict.faults) == (7, 0, 0)


def test_sealed_records_reach_the_sink_in_order_and_once(service):
    create(service, 3)
    assert outbox.run(service) == 0
    seal.run(service)
    assert outbox.run(service) == 3
    create(service)
    seal.run(service)
    assert outbox.run(service) == 1
    events = [event.event_id for event in service.audits.query(CALLER)]
    assert sent(service) == events[::-1]


def test_a_sink_that_is_away_loses_nothing(service, monkeypatch):
    create(service, 2)
    seal.run(service)
    (sink,) = service.backends.audit_sinks()

    def away(events):
        raise Unavailable("The sink is away.")

    monkeypatch.setattr(sink, "emit", away)
    assert outbox.run(service) == 0
    monkeypatch.undo()
    assert outbox.run(service) == 2


@pytest.mark.parametrize("chore", [seal, outbox, reaper])
def test_a_chore_that_another_worker_does_is_left_to_it(service, chore):
    create(service, 2)
    name = chore.__name__.rpartition(".")[2]
    with service.database.write() as conn:
        assert lease.acquire(conn, name, "another", 60)
    assert chore.run(service) == 0


def test_announced_bytes_of_a_dead_writer_are_removed(service):
    put(service, "lost/1")
    reaper.run(service)
    assert service.backends.storage().list() == []
    with service.database.read() as conn:
        assert not doomed.list(conn, 10)


def test_bytes_of_a_running_job_are_left_alone(service, capture):
    put(service, "kept/1")
    with service.database.write() as conn:
        conn.execute(pending.TABLE.update().values(owner_token=capture[1].id))
    reaper.run(service)
    assert [item.key for item in service.backends.storage().list()] == ["kept/1"]


def test_bytes_that_cannot_be_removed_wait_for_the_next_round(service, monkeypatch):
    put(service, "lost/1")
    driver = service.backends.storage()

    def away(key):
        raise Unavailable("The store is away.")

    monkeypatch.setattr(driver, "delete", away)
    reaper.run(service)
    with service.database.read() as conn:
        assert doomed.list(conn, 10) == (("local", "lost/1"),)
    monkeypatch.undo()
    reaper.run(service)
    assert driver.list() == []


def test_ended_jobs_are_forgotten_after_their_days_and_their_steps_with_them(
    service, capture, work, monkeypatch
):
    work()
    monkeypatch.setattr(reaper, "BATCH", 1)
    kept = [service.captures.start(CALLER, server_id="server", name="x")[1].id for _ in range(3)]
    work()
    past = pending.metadata.now() - datetime.timedelta(days=31)
    table = job_rows.TABLE
    with service.database.write() as conn:
        gone = table.c.id.in_([capture[1].id, kept.pop()])
        conn.execute(table.update().where(gone).values(created_at=past, finished_at=past))
    assert reaper.run(service) == 2
    assert {job.id for job in service.jobs.list(CALLER)} == set(kept)
    with pytest.raises(errors.JobNotFound):
        service.jobs.get(CALLER, capture[1].id)


def test_jobs_for_a_newer_worker_are_told_of_once_and_left(service, work, caplog):
    with service.database.write() as conn:
        for version in (1, 3, 3):
            job_rows.insert(
                conn, make.job(type="capture-system-disk", args_version=version, args={})
            )
        job_rows.insert(conn, make.job(type="move-house"))
    chore = stranger.Strangers(FLOWS)
    assert (chore.run(service), chore.run(service)) == (2, 0)
    assert [record.getMessage().partition("worker ")[2] for record in caplog.records] == [
        "type=capture-system-disk args_version=3 count=2",
        "type=move-house args_version=1 count=1",
    ]
    assert work() == 1  # the one that it can read
    assert [str(job.type) for job in service.jobs.list(ADMIN)].count("move-house") == 1


def test_a_dead_upload_goes_back_to_queued_and_a_live_one_stays(service):
    images = {name: create(service) for name in ("dead", "live")}
    with service.database.write() as conn:
        for name, image in images.items():
            image_rows.transition(conn, image.id, "upload", {"upload_token": name})
        table = image_rows.TABLE
        past = pending.metadata.now() - datetime.timedelta(hours=1)
        dead = table.c.id == images["dead"].id
        conn.execute(table.update().where(dead).values(heartbeat_at=past))
    assert reaper.run(service) == 1
    status = {name: service.images.get(CALLER, image.id).status for name, image in images.items()}
    assert status == {"dead": "queued", "live": "saving"}
