"""Captures of several disks: one image of all, or an image each."""

import dataclasses

import pytest

from imagesvc import errors
from imagesvc.db import doomed, metadata, pending
from imagesvc.domain import capture as captured
from imagesvc.domain.capture import snapshots
from imagesvc.interface import errors as driver_errors
from imagesvc.interface.compute import ComputeCapability
from imagesvc.worker import reaper
from imagesvc.worker.step.store import stored
from tests.unit.worker.conftest import CALLER
from tests.unit.worker.paper_compute import DATA, DISK

BROKEN = driver_errors.DriverError("The disk is broken.", "sector 7")


@pytest.fixture
def whole(service):
    """An accepted capture of a whole server."""
    return service.captures.start(CALLER, server_id="server", name="all", whole=True)


@pytest.fixture
def pair(service, compute):
    """An accepted capture of two data disks."""
    compute.disk_ids = ["vda", "vdb", "vdc"]
    return service.captures.start(
        CALLER, server_id="server", name="data", disk_ids=("vdc", "vdb"), tags=("one",)
    )[1]


def images_of(service, job):
    """The images that a job makes."""
    return [service.images.get(CALLER, image_id) for image_id in captured.image_ids(job)]


def bytes_of(service, image_id, disk=0):
    """The stored bytes of one disk."""
    with service.image_files.download(CALLER, image_id, disk=disk).open() as stream:
        return stream.read()


def left(service):
    """How many objects remain, and whether anything waits."""
    reaper.run(service)
    with service.database.read() as conn:
        rows = doomed.list(conn, 10) + pending.stale(conn, metadata.now())
    return len(service.backends.storage().list()), rows


def used(service):
    """Images and stored bytes of the project, each (used, reserved)."""
    found = service.quotas.show(CALLER, CALLER.project_id)
    return [(one.used, one.reserved) for one in found][:2]


def test_a_whole_server_becomes_one_image_of_its_disks_in_order(service, whole, compute, work):
    image, job = whole
    assert used(service) == [(1, 0), (0, 2 * len(DISK))]
    work()
    active = service.images.get(CALLER, image.id)
    assert (active.status, active.kind, active.size_bytes) == ("active", "whole-machine", len(DISK))
    disks = service.images.disks(CALLER, image.id)
    assert [(disk.index, disk.role) for disk in disks] == [(0, "system"), (1, "data")]
    assert [bytes_of(service, image.id, n) for n in (0, 1)] == [DISK, DATA]
    assert used(service) == [(1, 0), (2 * len(DISK), 0)]
    assert not compute.snapshots
    assert left(service) == (2, ())
    done = service.jobs.get(CALLER, job.id)
    assert (done.type, done.state) == ("capture-whole-machine", "done")
    assert done.result == {"image_ids": [image.id], "consistency": "crash"}
    service.deletions.delete(CALLER, image.id)
    assert left(service) == (0, ())
    assert used(service) == [(0, 0), (0, 0)]


def test_several_data_disks_become_an_image_each(service, pair, compute, work):
    assert pair.image_id is None
    work()
    images = images_of(service, pair)
    assert [(image.name, image.kind, image.status) for image in images] == [
        ("data-1", "data-disk", "active"),
        ("data-2", "data-disk", "active"),
    ]
    assert {image.tags for image in images} == {("one",)}
    assert [bytes_of(service, image.id) for image in images] == [DATA, DATA]
    assert [disk.role for image in images for disk in service.images.disks(CALLER, image.id)] == [
        "data",
        "data",
    ]
    assert used(service) == [(2, 0), (2 * len(DISK), 0)]
    assert not compute.snapshots
    assert service.jobs.get(CALLER, pair.id).result["image_ids"] == [image.id for image in images]


def test_a_disk_that_is_stored_is_not_stored_again(service, whole, compute, work, monkeypatch):
    opened = []
    kept = compute.open_snapshot

    def broken_once(snapshot_id, **options):
        opened.append(snapshot_id.split("-")[1])
        if opened == ["vda", "vdb"]:
            raise driver_errors.Unavailable("Compute is away.")
        return kept(snapshot_id, **options)

    monkeypatch.setattr(compute, "open_snapshot", broken_once)
    work()
    assert opened == ["vda", "vdb", "vdb"]
    assert service.images.get(CALLER, whole[0].id).status == "active"
    assert left(service) == (2, ())


def test_a_failure_kills_every_image_and_leaves_nothing(service, pair, compute, work):
    compute.faults["open_snapshot"] = BROKEN
    work()
    images = images_of(service, pair)
    assert {(image.status, image.cause) for image in images} == {("killed", "The disk is broken.")}
    assert used(service) == [(0, 0), (0, 0)]
    assert not compute.snapshots
    assert left(service) == (0, ())
    compute.faults.clear()
    service.jobs.retry(CALLER, pair.id)
    assert used(service) == [(2, 0), (0, 2 * len(DISK))]
    work()
    assert {image.status for image in images_of(service, pair)} == {"active"}
    assert used(service) == [(2, 0), (2 * len(DISK), 0)]


def test_an_image_of_several_that_was_deleted_is_left_out(service, pair, compute, work):
    compute.pending = True
    work(1)
    first, second = captured.image_ids(pair)
    service.deletions.delete(CALLER, first)
    compute.pending = False
    work()
    assert service.jobs.get(CALLER, pair.id).state == "done"
    assert service.images.get(CALLER, second).status == "active"
    assert left(service) == (1, ())
    assert used(service) == [(1, 0), (len(DISK), 0)]


def test_a_capture_all_of_whose_images_were_deleted_fails(service, pair, compute, work):
    compute.pending = True
    work(1)
    for image_id in captured.image_ids(pair):
        service.deletions.delete(CALLER, image_id)
    compute.pending = False
    work()
    assert service.jobs.get(CALLER, pair.id).state == "failed"
    assert left(service) == (0, ())
    assert used(service) == [(0, 0), (0, 0)]
    assert not compute.snapshots


def test_a_cancelled_capture_of_several_leaves_nothing(service, pair, compute, work):
    compute.pending = True
    work(1)
    service.jobs.cancel(CALLER, pair.id)
    work()
    assert {image.status for image in images_of(service, pair)} == {"killed"}
    assert left(service) == (0, ())
    assert used(service) == [(0, 0), (0, 0)]


@pytest.mark.parametrize("answers", [True, False])
def test_a_freeze_that_was_asked_for_is_told_in_a_property(service, compute, work, answers):
    compute.frozen = answers
    image, job = service.captures.start(
        CALLER, server_id="server", name="all", whole=True, quiesce=True
    )
    work()
    wanted = "application" if answers else "crash"
    assert service.images.get(CALLER, image.id).properties["consistency"] == wanted
    assert service.jobs.get(CALLER, job.id).result["consistency"] == wanted


def test_a_backend_that_cannot_freeze_is_not_asked_to(service, compute, work):
    compute.capabilities = frozenset()
    image, _ = service.captures.start(CALLER, server_id="server", name="x", quiesce=True)
    work()
    assert [facts["quiesce"] for facts in compute.works.values()] == [False]
    assert service.images.get(CALLER, image.id).properties["consistency"] == "crash"


def test_a_backend_without_groups_takes_one_disk_only(service, compute):
    compute.capabilities -= {ComputeCapability.CONSISTENT_GROUP}
    for asked in ({"whole": True}, {"disk_ids": ("vda", "vdb")}):
        with pytest.raises(driver_errors.NotSupported):
            service.captures.start(CALLER, server_id="server", name="x", **asked)
    assert used(service) == [(0, 0), (0, 0)]


@pytest.mark.parametrize(
    "asked",
    [
        {"whole": True, "disk_id": "vda"},
        {"whole": True, "disk_ids": ("vda",)},
        {"disk_id": "vda", "disk_ids": ("vda",)},
        {"disk_ids": ("vda", "vda")},
        {"disk_ids": ("vda", "vdz")},
    ],
)
def test_what_cannot_be_captured_is_refused(service, asked):
    with pytest.raises(errors.InvalidRequest):
        service.captures.start(CALLER, server_id="server", name="x", **asked)
    assert used(service) == [(0, 0), (0, 0)]


def test_a_disk_that_went_since_the_capture_was_asked_for_is_the_cause(
    service, whole, compute, work
):
    compute.disk_ids = ["vda"]
    work()
    assert "disks have changed" in service.jobs.get(CALLER, whole[1].id).error_text
    assert not compute.snapshots


def test_images_of_a_server_name_the_image_that_it_was_made_of_but_for_data_disks(
    service, compute, active_image
):
    compute.image_id = active_image.id
    asked = {"system": {}, "whole": {"whole": True}, "data": {"disk_ids": ("vdb",)}}
    made = {}
    for name, more in asked.items():
        _, job = service.captures.start(CALLER, server_id="server", name=name, **more)
        (made[name],) = captured.image_ids(job)
    told = {
        name: service.image_details.get(CALLER, one).life.parent_image_id
        for name, one in made.items()
    }
    assert told == {"system": active_image.id, "whole": active_image.id, "data": None}
    uses = service.impacts.impact(CALLER, active_image.id).uses
    assert {one.id for one in uses if one.kind == "image"} == {made["system"], made["whole"]}


def test_a_capture_that_an_earlier_release_began_goes_on(service, compute, work, monkeypatch):
    image, job = service.captures.start(CALLER, server_id="server", name="old")
    old = {
        "server_id": "server", "disk_id": "vda", "role": "system", "size_bytes": len(DISK),
        "compute_id": "local",
    }  # fmt: skip
    table = reaper.job_rows.TABLE
    with service.database.write() as conn:
        conn.execute(table.update().where(table.c.id == job.id).values(args=old, args_version=1))
    work()
    assert service.images.get(CALLER, image.id).status == "active"
    assert bytes_of(service, image.id) == DISK


def test_what_an_earlier_release_kept_of_its_steps_is_understood(service):
    job = service.captures.start(CALLER, server_id="server", name="old")[1]
    old = {"server_id": "server", "disk_id": "vda", "role": "system", "size_bytes": 5}
    job = dataclasses.replace(job, args=old)
    assert snapshots(job, {"snapshot_id": "one"}) == {"vda": "one"}
    assert snapshots(job, {"asked": True}) == {}
    memo = {"store_id": "local", "key": "k"}
    assert stored(memo) == []
    assert stored(memo | {"size_bytes": 5}) == [memo | {"size_bytes": 5}]
