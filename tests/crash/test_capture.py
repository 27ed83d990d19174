"""A worker killed anywhere in a capture or a creation: the job ends rightly, once."""

import hashlib

import pytest

from imagesvc.db import doomed, image_disk, metadata, pending
from imagesvc.domain.image import NewImage
from imagesvc.manager import store_verify
from imagesvc.worker import reaper, runner
from tests import guest_disk
from tests.crash.points import thinned
from tests.crash.station import until

CAPTURE_POINTS = (
    "job.claimed",
    "step.snapshot.begin",
    "compute.qemu.snapshot_recorded",
    "step.snapshot.started",
    "step.snapshot.done",
    "job.advanced",
    "step.store.begin",
    "step.store.written",
    "storage.file.synced",
    "storage.file.published",
    "step.store.committed",
    "step.store.done",
    "step.verify.begin",
    "step.verify.done",
    "step.activate.begin",
    "step.activate.done",
    "step.cleanup.begin",
    "step.cleanup.done",
    "job.finished",
)
CREATE_POINTS = (
    "step.provision.begin",
    "compute.qemu.create_recorded",
    "step.provision.started",
    "job.parked",
    "compute.qemu.fetched",
    "compute.qemu.server_built",
    "compute.qemu.spawned",
    "compute.qemu.server_started",
    "step.provision.done",
)


def upload(station, guest):
    """An active image of the guest."""
    new = NewImage(name="guest", disk_format="raw", container_format="bare")
    image = station.service.images.create(station.caller, new)
    with guest.open("rb") as source:
        return station.service.image_files.upload(
            station.caller, image.id, source, guest.stat().st_size
        )


def create(station, image, count=1, **options):
    """A job that creates servers."""
    return station.service.servers.create(
        station.caller, image_id=image.id, name="crash", count=count, memory_mib=16, **options
    )


def run_here(station, job):
    """Work in this process until the job ends; its result."""
    worker = runner.Runner(station.service, "here")

    def ended():
        worker.run_once()
        return station.job(job.id).finished_at

    until(ended)
    return station.job(job.id)


def kill_and_recover(station, job, point):
    """Run the job in a worker that dies at `point`, then in another."""
    first = station.start("worker", point)
    assert first.wait(60) == -9
    assert station.died
    station.start("worker")
    until(lambda: station.job(job.id).finished_at)
    return station.job(job.id)


@pytest.mark.parametrize(
    "point",
    thinned(
        CAPTURE_POINTS,
        "compute.qemu.snapshot_recorded",
        "step.snapshot.done",
        "storage.file.published",
        "step.store.done",
        "step.activate.done",
        "step.cleanup.done",
    ),
)
def test_a_capture_ends_once_whatever_line_its_worker_dies_at(station, guest, point):
    made = run_here(station, create(station, upload(station, guest)))
    server_id = made.result["servers"][0]["server_id"]
    image, job = station.service.captures.start(
        station.caller, server_id=server_id, name="captured"
    )
    ended = kill_and_recover(station, job, point)
    assert (ended.state, ended.error_text) == ("done", None)
    active = station.service.images.get(station.caller, image.id)
    assert (active.status, active.properties["os_version"]) == ("active", "12")
    found = station.service.image_files.download(station.caller, image.id)
    with found.open() as stream:
        data = stream.read()
    assert hashlib.sha512(data).hexdigest() == active.hash_value
    assert len(data) == active.size_bytes == guest.stat().st_size
    until(lambda: clean(station, {image.id, made.image_id}))
    assert station.quota() == [(2, 0), (2 * active.size_bytes, 0), (0, 0)]
    assert station.quota_is_true()
    events = station.service.audits.query(station.caller, action="capture:complete")
    assert [event.target_id for event in events] == [image.id]


def test_a_windows_disk_is_known_from_its_upload_to_the_capture_of_its_server(station, tmp_path):
    source = upload(station, guest_disk.windows(tmp_path))
    made = run_here(station, create(station, source))
    server_id = made.result["servers"][0]["server_id"]
    image, job = station.service.captures.start(
        station.caller, server_id=server_id, name="captured"
    )
    assert run_here(station, job).state == "done"
    image = station.service.images.get(station.caller, image.id)
    assert (image.os_type, dict(image.properties)) == (
        "windows",
        {
            "os_distro": "windows", "os_version": "10.0.20348", "hw_firmware_type": "uefi",
            "consistency": "crash",
        },
    )  # fmt: skip
    for one in (source.id, image.id):
        found = station.service.image_details.get(station.caller, one).disks[0].disk.guest
        assert (found.os_name, found.virtio) == ("Windows Server 2022 Datacenter", True)


@pytest.mark.parametrize(
    "point",
    thinned(
        CREATE_POINTS,
        "step.provision.started",
        "compute.qemu.server_built",
        "compute.qemu.spawned",
        "step.provision.done",
    ),
)
def test_servers_are_created_once_whatever_line_the_worker_dies_at(station, guest, point):
    job = create(station, upload(station, guest), count=2)
    ended = kill_and_recover(station, job, point)
    assert (ended.state, ended.error_text) == ("done", None)
    made = {server["server_id"] for server in ended.result["servers"]}
    there = station.service.servers.list(station.caller)
    assert {server.server_id for server in there} == made
    assert [server.state for server in there] == ["running", "running"]


def clean(station, image_ids):
    """Whether the store holds the bytes of these images and nothing else waits."""
    reaper.run(station.service)
    with station.service.database.read() as conn:
        rows = {
            key
            for image_id in image_ids
            for disk in image_disk.list_for(conn, image_id)
            for _, key in disk.locations
        }
        waiting = doomed.list(conn, 10) or pending.stale(conn, metadata.now())
    found = store_verify.verify(station.service.database, station.service.backends, older_than_s=0)
    return not waiting and set(station.objects()) == rows and not found.findings
