"""Sealing, sending and sweeping: one round of each."""

import datetime
import json
from pathlib import Path

import pytest

from imagesvc.db import doomed, lease, pending
from imagesvc.db import image as image_rows
from imagesvc.domain.image import NewImage
from imagesvc.interface.errors import Unavailable
from imagesvc.manager import audit_verify
from imagesvc.worker import outbox, reaper, seal
from tests.unit.worker.conftest import CALLER


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
