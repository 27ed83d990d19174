"""The capture flow, forward and back."""

import pytest

from imagesvc import errors
from imagesvc.db import doomed, metadata, pending
from imagesvc.interface import errors as driver_errors
from imagesvc.worker import reaper
from tests.unit.worker.conftest import CALLER
from tests.unit.worker.paper_compute import DISK

BROKEN = driver_errors.DriverError("The disk is broken.", "sector 7")
AWAY = driver_errors.Unavailable("Compute is away.")


def look(service, capture):
    """Image status and job as they are now."""
    image, job = capture
    return service.images.get(CALLER, image.id), service.jobs.get(CALLER, job.id)


def left(service):
    """Objects and notes that remain."""
    reaper.run(service)
    with service.database.read() as conn:
        rows = doomed.list(conn, 10) + pending.stale(conn, metadata.now())
    return [item.key for item in service.backends.storage().list()], rows


def actions(service):
    """What the trail says of jobs and captures, oldest first."""
    events = service.audits.query(CALLER, limit=100)
    return [f"{event.action} {event.outcome}" for event in reversed(list(events))]


def test_a_capture_becomes_an_active_image_with_the_disks_bytes(service, capture, compute, work):
    work()
    image, job = look(service, capture)
    assert (image.status, image.size_bytes, job.state) == ("active", len(DISK), "done")
    with service.image_files.download(CALLER, image.id).open() as stream:
        assert stream.read() == DISK
    assert not compute.snapshots
    keys, rows = left(service)
    assert (len(keys), rows) == (1, ())
    assert [step.state for step in job.steps] == ["done"] * 5
    assert actions(service)[-2:] == ["capture:complete success", "job:end success"]


def test_a_data_disk_makes_an_image_with_a_data_disk(service, work):
    image, _ = service.captures.start(CALLER, server_id="server", name="data", disk_id="vdb")
    work()
    assert [disk.role for disk in service.images.disks(CALLER, image.id)] == ["data"]


def test_a_lasting_failure_is_undone_and_kills_the_image_with_its_cause(
    service, capture, compute, work
):
    compute.faults["open_snapshot"] = BROKEN
    work()
    image, job = look(service, capture)
    assert (image.status, image.cause) == ("killed", "The disk is broken.")
    assert (job.state, job.error_text, job.operator_text) == ("failed", image.cause, "sector 7")
    assert not compute.snapshots
    assert left(service) == ([], ())
    assert [step.state for step in job.steps] == ["undone", "undone"] + ["pending"] * 3
    assert actions(service)[-1] == "job:end failure"


def test_a_passing_failure_is_tried_five_times(service, capture, compute, work):
    compute.faults["open_snapshot"] = AWAY
    work(3)
    assert look(service, capture)[1].attempt == 3
    del compute.faults["open_snapshot"]
    work()
    assert look(service, capture)[0].status == "active"
    assert len(left(service)[0]) == 1


def test_a_failure_that_does_not_pass_ends_the_job(service, capture, compute, work):
    compute.faults["open_snapshot"] = AWAY
    work()
    image, job = look(service, capture)
    assert (image.status, job.state, job.error_text) == ("killed", "failed", "Compute is away.")


@pytest.mark.parametrize("fault", [BROKEN, AWAY])
def test_a_clean_up_that_fails_leaves_the_image_active(service, capture, compute, work, fault):
    compute.faults["delete_snapshot"] = fault
    work()
    image, job = look(service, capture)
    assert (image.status, job.state, job.steps[-1].state) == ("active", "done", "failed")
    assert len(left(service)[0]) == 1
    with service.image_files.download(CALLER, image.id).open() as stream:
        assert stream.read() == DISK


def test_rot_between_store_and_verify_fails_the_job(service, capture, work, monkeypatch):
    driver = service.backends.storage()
    kept = driver.open_read
    monkeypatch.setattr(driver, "open_read", lambda key, **_: kept(key, offset=1))
    work()
    image, job = look(service, capture)
    assert (image.status, job.state) == ("killed", "failed")
    assert "does not give back" in job.error_text


def test_a_capture_that_was_not_begun_is_cancelled_at_once(service, capture, work):
    service.jobs.cancel(CALLER, capture[1].id)
    image, job = look(service, capture)
    assert (image.status, image.cause, job.state) == ("killed", "Cancelled.", "cancelled")
    assert work() == 0


def test_a_parked_capture_is_cancelled_and_its_snapshot_withdrawn(service, capture, compute, work):
    compute.pending = True
    work(1)
    service.jobs.cancel(CALLER, capture[1].id)
    work()
    image, job = look(service, capture)
    assert (image.status, job.state) == ("killed", "cancelled")
    assert [item["state"] for item in compute.works.values()] == ["cancelled"]


def test_a_snapshot_that_was_faster_than_its_cancel_is_deleted(service, capture, compute, work):
    compute.pending = True
    work(1)
    compute.pending = False
    compute.poll(next(iter(compute.works)))
    assert compute.snapshots
    service.jobs.cancel(CALLER, capture[1].id)
    work()
    assert look(service, capture)[1].state == "cancelled"
    assert not compute.snapshots


def test_an_undo_that_fails_is_tried_until_it_goes_through(service, capture, compute, work):
    compute.faults |= {"open_snapshot": BROKEN, "delete_snapshot": AWAY}
    work(12)
    assert look(service, capture)[1].state == "ready"
    del compute.faults["delete_snapshot"]
    work()
    image, job = look(service, capture)
    assert (image.status, job.state, job.error_text) == ("killed", "failed", "The disk is broken.")
    assert not compute.snapshots


@pytest.mark.parametrize("method", ["start_snapshot", "open_snapshot"])
def test_a_failed_capture_can_be_retried(service, capture, compute, work, method):
    compute.faults[method] = BROKEN
    work()
    del compute.faults[method]
    service.jobs.retry(CALLER, capture[1].id)
    assert look(service, capture)[0].status == "importing"
    work()
    image, job = look(service, capture)
    assert (image.status, image.cause, job.state) == ("active", None, "done")
    assert len(left(service)[0]) == 1


def test_a_cancelled_capture_can_be_retried_with_a_snapshot_of_its_own(
    service, capture, compute, work
):
    compute.pending = True
    work(1)
    service.jobs.cancel(CALLER, capture[1].id)
    work()
    compute.pending = False
    service.jobs.retry(CALLER, capture[1].id)
    work()
    assert look(service, capture)[0].status == "active"
    assert len(set(compute.tokens)) == 2


def test_deleting_the_image_stops_its_capture_and_leaves_nothing(service, capture, compute, work):
    compute.pending = True
    work(1)
    service.deletions.delete(CALLER, capture[0].id)
    work()
    assert service.jobs.get(CALLER, capture[1].id).state == "cancelled"
    with pytest.raises(errors.ImageNotFound):
        service.images.get(CALLER, capture[0].id)
    assert left(service) == ([], ())


def test_a_foreign_server_and_an_unknown_disk_are_refused(service):
    with pytest.raises(errors.ServerNotFound):
        service.captures.start(CALLER, server_id="other", name="x")
    with pytest.raises(errors.InvalidRequest):
        service.captures.start(CALLER, server_id="server", name="x", disk_id="vdz")
