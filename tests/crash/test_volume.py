"""A worker killed anywhere in the work on volumes: the job ends rightly, once."""

import hashlib
import json

import pytest

from imagesvc.interface.volume import VolumeSpec
from imagesvc.testing.conformance.operation import result_of
from tests.crash.points import thinned
from tests.crash.station import until
from tests.crash.test_capture import clean, create, kill_and_recover, run_here, upload

CREATE_POINTS = (
    "step.provision_volume.begin",
    "volume.local.create_recorded",
    "step.provision_volume.started",
    "volume.local.disk_written",
    "volume.local.created",
    "step.provision_volume.done",
)
CAPTURE_POINTS = (
    "volume.local.snapshot_recorded",
    "volume.local.snapshot_sealed",
    "step.snapshot.done",
    "step.cleanup.begin",
)


def volume_of(station, guest):
    """A volume with the bytes of the guest's disk, and what they are."""
    image = upload(station, guest)
    source = station.service.image_files.image_source(station.caller, image, job_id="of-the-test")
    spec = VolumeSpec("crash", station.caller.project_id, guest.stat().st_size, source)
    driver = station.service.backends.volume()
    (volume_id,) = result_of(driver, driver.start_create(spec, 1, "of the test"))
    return image, volume_id


@pytest.mark.parametrize(
    "point",
    thinned(
        CREATE_POINTS,
        "volume.local.create_recorded",
        "volume.local.disk_written",
        "step.provision_volume.done",
    ),
)
def test_volumes_are_created_once_whatever_line_the_worker_dies_at(station, guest, point):
    image = upload(station, guest)
    job = station.service.volumes.create(
        station.caller, name="crash", image_id=image.id, count=2, size_gib=1
    )
    ended = kill_and_recover(station, job, point)
    assert (ended.state, ended.error_text) == ("done", None)
    there = station.service.volumes.list(station.caller)
    assert [found.volume_id for found in there] == sorted(ended.result["volumes"])
    assert [found.state for found in there] == ["available", "available"]
    assert {found.name for found in there} == {"crash-1", "crash-2"}


def test_volumes_whose_image_went_before_their_handle_was_kept_are_taken_back(station, guest):
    image = upload(station, guest)
    job = station.service.volumes.create(
        station.caller, name="crash", image_id=image.id, count=2, size_gib=1
    )
    assert station.start("worker", "volume.local.create_recorded").wait(60) == -9
    station.service.deletions.delete(station.caller, image.id)
    station.service.jobs.cancel(station.caller, job.id)
    station.start("worker")
    until(lambda: station.job(job.id).finished_at)
    assert station.job(job.id).state == "cancelled"
    assert station.service.volumes.list(station.caller) == []
    records = (station.folder / "volume" / "operations").glob("create-*.json")
    assert [json.loads(record.read_text())["state"] for record in records] == ["cancelled"]


@pytest.mark.parametrize(
    "point", thinned(CAPTURE_POINTS, "volume.local.snapshot_sealed", "step.cleanup.begin")
)
def test_a_capture_of_a_volume_ends_once_whatever_line_its_worker_dies_at(station, guest, point):
    source, volume_id = volume_of(station, guest)
    image, job = station.service.disk_captures.start_volume(
        station.caller, volume_id, name="captured"
    )
    ended = kill_and_recover(station, job, point)
    assert (ended.state, ended.error_text) == ("done", None)
    active = station.service.images.get(station.caller, image.id)
    assert (active.status, active.kind) == ("active", "data-disk")
    assert active.hash_value == hashlib.sha512(guest.read_bytes()).hexdigest()
    until(lambda: clean(station, {image.id, source.id}))
    shelf = station.folder / "volume" / "snapshots"
    assert list(shelf.iterdir()) == []
    assert station.quota_is_true()


def test_an_attached_volume_stays_attached_when_the_service_is_killed_and_goes_with_no_server(
    station, guest
):
    source, volume_id = volume_of(station, guest)
    made = run_here(station, create(station, source))
    server_id = made.result["servers"][0]["server_id"]
    api = station.start("api", "compute.qemu.attached")
    until(station.ready)
    headers = {"X-Auth-Token": station.token(), "Content-Type": "application/json"}
    path = f"/imagesvc/v1/servers/{server_id}/volumes"
    body = f'{{"volume_id": "{volume_id}"}}'
    with pytest.raises(ConnectionError):
        station.call("POST", path, body, headers)
    until(station.ready)
    status, _, _ = station.call("POST", path, body, headers)
    assert status == 200
    found = station.service.volumes.get(station.caller, volume_id)
    assert (found.state, found.server_id) == ("in-use", server_id)
    assert station.service.servers.get(station.caller, server_id).volumes == (volume_id,)
    station.service.servers.delete(station.caller, server_id)
    found = station.service.volumes.get(station.caller, volume_id)
    assert (found.state, found.server_id) == ("available", None)
    assert api.poll() is None


def test_a_volume_that_a_server_writes_to_makes_no_image_and_says_why(station, guest):
    source, volume_id = volume_of(station, guest)
    made = run_here(station, create(station, source))
    server_id = made.result["servers"][0]["server_id"]
    station.service.attachments.attach(station.caller, server_id, volume_id)
    image, job = station.service.disk_captures.start_volume(station.caller, volume_id, name="busy")
    ended = run_here(station, job)
    assert ended.state == "failed"
    assert server_id in ended.error_text
    assert station.service.images.get(station.caller, image.id).status == "killed"
    station.service.servers.stop(station.caller, server_id)
    station.service.jobs.retry(station.caller, job.id)
    assert run_here(station, job).state == "done"
