"""The flow that creates servers."""

import dataclasses

import pytest
import sqlalchemy as sa

from imagesvc import errors
from imagesvc.db import damage, image_disk
from imagesvc.domain.image import NewImage
from imagesvc.domain.server import GIB, DataDisk
from imagesvc.interface import errors as driver_errors
from imagesvc.interface.compute import ComputeCapability, EmptyDisk
from imagesvc.worker.step import provision
from tests.unit.worker.conftest import CALLER


@pytest.fixture
def job(service, active_image, compute):
    """Two servers are asked for."""
    compute.servers.clear()
    return service.servers.create(CALLER, image_id=active_image.id, name="web", count=2)


def test_servers_are_created_and_named_in_the_result(service, job, compute, work):
    work()
    done = service.jobs.get(CALLER, job.id)
    assert done.state == "done"
    assert {made["server_id"] for made in done.result["servers"]} == set(compute.servers)
    event = next(iter(service.audits.query(CALLER, action="job:end")))
    assert (event.outcome, len(event.detail["servers"])) == ("success", 2)


@pytest.mark.parametrize("ended", [True, False])
def test_a_cancelled_creation_leaves_no_server(service, job, compute, work, ended):
    compute.pending = True
    work(1)
    compute.pending = False
    if ended:
        compute.poll(next(iter(compute.works)))
    compute.pending = True
    service.jobs.cancel(CALLER, job.id)
    work()
    assert service.jobs.get(CALLER, job.id).state == "cancelled"
    assert not compute.servers


def test_work_whose_handle_was_lost_is_found_again_and_withdrawn(
    service, job, compute, work, monkeypatch
):
    kept = provision._start

    def dies(ctx, driver):
        kept(ctx, driver)
        raise driver_errors.Timeout("No answer.")

    monkeypatch.setattr(provision, "_start", dies)
    work(1)
    monkeypatch.undo()
    compute.pending = True
    service.jobs.cancel(CALLER, job.id)
    work()
    assert service.jobs.get(CALLER, job.id).state == "cancelled"
    assert [item["state"] for item in compute.works.values()] == ["cancelled"]


@pytest.mark.parametrize("denied", [False, True])
def test_work_whose_handle_was_lost_is_withdrawn_though_its_image_is_gone(
    service, active_image, job, compute, work, monkeypatch, denied
):
    kept = provision._ask

    def dies(ctx, driver, spec):
        kept(ctx, driver, spec)
        raise driver_errors.Timeout("No answer.")

    monkeypatch.setattr(provision, "_ask", dies)
    work(1)
    monkeypatch.undo()
    compute.pending = True
    service.deletions.delete(CALLER, active_image.id)
    if denied:
        compute.faults["start_create"] = driver_errors.AccessDenied("Not now.")
    service.jobs.cancel(CALLER, job.id)
    work(5)
    if denied:
        assert service.jobs.get(CALLER, job.id).finished_at is None
        compute.faults.clear()
    work()
    assert service.jobs.get(CALLER, job.id).state == "cancelled"
    assert [item["state"] for item in compute.works.values()] == ["cancelled"]
    first, again = compute.specs[0], compute.specs[-1]
    assert dataclasses.replace(again, disks=()) == dataclasses.replace(first, disks=())
    assert [disk.digest for disk in again.disks] == [disk.digest for disk in first.disks]


def test_the_memo_of_a_creation_holds_no_signed_url(service, job, compute, work):
    compute.pending = True
    work(1)
    with service.database.read() as conn:
        (memo,) = conn.execute(sa.text("SELECT memo FROM job_step WHERE name = 'provision'"))
    assert "0" in str(memo)
    assert "signature" not in str(memo)


def test_an_image_deleted_before_it_was_read_is_the_cause(service, active_image, job, work):
    service.deletions.delete(CALLER, active_image.id)
    work()
    ended = service.jobs.get(CALLER, job.id)
    assert (ended.state, ended.error_text) == (
        "failed",
        errors.ImageGone(image_id=active_image.id).text,
    )


def test_no_server_is_made_of_a_damaged_image_and_that_is_the_cause(
    service, active_image, job, compute, work
):
    with service.database.write() as conn:
        (disk,) = image_disk.list_for(conn, active_image.id)
        damage.mark(conn, *disk.locations[0], 0, "corrupt")
    work()
    ended = service.jobs.get(CALLER, job.id)
    cause = errors.ImageDamaged(image_id=active_image.id).text
    assert (ended.state, ended.error_text) == ("failed", cause)
    assert not compute.servers
    with service.database.write() as conn:
        damage.unmark(conn, *disk.locations[0], 0)
    service.jobs.retry(CALLER, job.id)
    work()
    assert service.jobs.get(CALLER, job.id).state == "done"


def test_no_server_is_made_of_bytes_that_are_gone(service, active_image, job, compute, work):
    store = service.backends.storage()
    store.delete(store.list()[0].key)
    work()
    ended = service.jobs.get(CALLER, job.id)
    assert ended.state == "failed"
    assert ended.error_text == "No copy of the image's bytes is there and whole."


def test_a_failed_creation_can_be_retried(service, job, compute, work):
    compute.faults["start_create"] = driver_errors.NoSpace("Compute is full.")
    work()
    assert service.jobs.get(CALLER, job.id).error_text == "Compute is full."
    compute.faults.clear()
    service.jobs.retry(CALLER, job.id)
    work()
    assert service.jobs.get(CALLER, job.id).state == "done"
    assert len(compute.servers) == 2


def test_data_disks_follow_the_system_disk_in_their_order(service, active_image, compute, work):
    data, _ = service.captures.start(CALLER, server_id="server", name="data", disk_id="vdb")
    work()
    wanted = (DataDisk(size_bytes=GIB), DataDisk(data.id), DataDisk(size_bytes=2 * GIB))
    service.servers.create(CALLER, image_id=active_image.id, name="web", data_disks=wanted)
    work()
    (spec,) = compute.specs
    assert [disk.image_id for disk in spec.disks] == [active_image.id, data.id]
    assert spec.empty_disks == (EmptyDisk(1, GIB), EmptyDisk(3, 2 * GIB))


def test_an_image_of_a_whole_machine_brings_all_its_disks(service, compute, work):
    whole, _ = service.captures.start(CALLER, server_id="server", name="all", whole=True)
    work()
    more = (DataDisk(size_bytes=GIB),)
    job = service.servers.create(CALLER, image_id=whole.id, name="web", count=2, data_disks=more)
    work()
    assert service.jobs.get(CALLER, job.id).state == "done"
    (spec,) = compute.specs
    disks = service.images.disks(CALLER, whole.id)
    assert [(one.disk, one.digest) for one in spec.disks] == [
        (disk.index, disk.hash_value) for disk in disks
    ]
    assert spec.empty_disks == (EmptyDisk(2, GIB),)


def test_images_that_cannot_be_that_disk_are_refused(service, active_image, compute, work):
    data, whole = (
        service.captures.start(CALLER, server_id="server", name="x", **asked)[0]
        for asked in ({"disk_id": "vdb"}, {"whole": True})
    )
    early = service.images.create(CALLER, NewImage(name="early"))
    work()

    def create(image_id, *disks):
        return service.servers.create(CALLER, image_id=image_id, name="x", data_disks=disks)

    with pytest.raises(errors.InvalidRequest):
        create(data.id)
    with pytest.raises(errors.InvalidRequest):
        create(active_image.id, DataDisk(whole.id))
    with pytest.raises(errors.StateConflict):
        create(active_image.id, DataDisk(early.id))
    with pytest.raises(errors.ImageNotFound):
        create(active_image.id, DataDisk("none"))
    compute.capabilities -= {ComputeCapability.EMPTY_DISK}
    with pytest.raises(driver_errors.NotSupported):
        create(active_image.id, DataDisk(size_bytes=GIB))


def test_a_data_image_deleted_before_it_was_read_is_the_cause(service, active_image, compute, work):
    data, _ = service.captures.start(CALLER, server_id="server", name="data", disk_id="vdb")
    work()
    job = service.servers.create(
        CALLER, image_id=active_image.id, name="web", data_disks=(DataDisk(data.id),)
    )
    service.deletions.delete(CALLER, data.id)
    work()
    ended = service.jobs.get(CALLER, job.id)
    assert (ended.state, ended.error_text) == ("failed", errors.ImageGone(image_id=data.id).text)
