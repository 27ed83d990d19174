"""A worker killed anywhere while it copies an image: the copy is whole once, and nothing else."""

import io
import random

import pytest

from imagesvc.db import doomed, image_disk, metadata, pending
from imagesvc.domain import storage_key
from imagesvc.domain.image import ImageDisk, NewImage
from imagesvc.manager import store_verify
from imagesvc.manager.copy import NewCopy
from imagesvc.worker import reaper
from tests.crash.points import thinned
from tests.crash.station import Station, until
from tests.crash.test_bucket import killed_once

# The first disk is copied by its store, the second is sent from the other store.
POINTS = (
    "step.copy.begin", "step.copy.announced", "step.copy.duplicated", "step.copy.written",
    "step.copy.committed", "step.copy.kept", "step.copy.done", "step.reveal.begin",
    "step.reveal.done",
)  # fmt: skip
# The store does not copy what is to be encrypted.
ENCRYPTED = tuple(
    one for one in POINTS if one not in ("step.copy.announced", "step.copy.duplicated")
)
# What is met before the first disk is kept.
BEFORE = (*POINTS[:3], "step.copy.committed")
OFTEN = {
    ("sqlite", "step.copy.duplicated"),
    ("postgresql", "step.copy.written"),
    ("sqlite", "step.copy.kept"),
    ("postgresql", "step.reveal.begin"),
}
CASES = [
    pytest.param(engine, point, marks=() if (engine, point) in OFTEN else pytest.mark.peer)
    for engine in ("sqlite", "postgresql")
    for point in POINTS
]
DISKS = (random.Random(5).randbytes(2_000_000), random.Random(6).randbytes(3_000_000))
STORES = ("local", "far")


@pytest.fixture
def station(tmp_path, url, monkeypatch):
    """An installation with two stores."""
    monkeypatch.setenv("OS_STORAGE__ENABLED_BACKENDS", "local:file,far:file")
    monkeypatch.setenv("OS_STORAGE__DEFAULT_BACKEND", "local")
    monkeypatch.setenv("OS_STORAGE_FAR__DIRECTORY", str(tmp_path / "far"))
    made = Station(tmp_path, url)
    yield made
    made.stop()


def of_two_disks(station):
    """An image with a disk in each store; its id."""
    service, ids = station.service, []
    for store, data in zip(STORES, DISKS, strict=True):
        wanted = NewImage(name="x", disk_format="raw", container_format="bare")
        ids.append(service.images.create(station.caller, wanted).id)
        service.image_files.upload(
            station.caller, ids[-1], io.BytesIO(data), len(data), store_id=store
        )
    with service.database.write() as conn:
        (other,) = image_disk.list_for(conn, ids[1])
        image_disk.delete_for(conn, ids[1])
        values = {name: getattr(other, name) for name in ImageDisk.__slots__}
        image_disk.insert_disk(conn, ids[0], ImageDisk(**{**values, "index": 1, "role": "data"}))
    service.deletions.delete(station.caller, ids[1])
    return ids[0]


def clean(station, *image_ids):
    """Whether the stores hold what these images name and nothing else waits."""
    service = station.service
    reaper.run(service)
    with service.database.read() as conn:
        waiting = doomed.list(conn, 10) or pending.stale(conn, metadata.now())
        named = {
            place
            for image_id in image_ids
            for disk in image_disk.list_for(conn, image_id)
            for place in disk.locations
        }
    held = {(s, one.key) for s in STORES for one in service.backends.storage(s).list()}
    found = store_verify.verify(service.database, service.backends, older_than_s=0)
    return not waiting and held == named and not found.findings


def copied(station, point, source_id, key_id=None):
    """Copy, a worker dying at the point; the job, and the disks, which have the right bytes."""
    service, caller = station.service, station.caller
    job = service.copies.start(caller, source_id, NewCopy("copy", key_id=key_id))
    killed_once(station, job, point)
    assert service.images.get(caller, job.image_id).status == "active"
    with service.database.read() as conn:
        disks = image_disk.list_for(conn, job.image_id)
    for disk, data in zip(disks, DISKS, strict=True):
        with service.image_files.download(caller, job.image_id, disk=disk.index).open() as stream:
            assert stream.read() == data
    until(lambda: clean(station, source_id, job.image_id))
    assert station.quota()[:2] == [(2, 0), (2 * sum(map(len, DISKS)), 0)]
    return job, disks


@pytest.mark.parametrize(("url", "point"), CASES, indirect=["url"])
def test_a_copy_is_whole_once_whatever_line_its_worker_dies_at(station, point):
    job, disks = copied(station, point, of_two_disks(station))
    # A disk that was kept is not copied again: its key has the number of the first claim.
    first = f"{job.id}-1-0" in disks[0].locations[0][1]
    assert first == (point not in BEFORE)


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("point", thinned(ENCRYPTED, "step.copy.written", rest=pytest.mark.soak))
def test_an_encrypted_copy_is_whole_once_whatever_line_its_worker_dies_at(station, point):
    key = station.service.keys.create(station.caller, "k", None, "once")
    _, disks = copied(station, point, of_two_disks(station), key.info.id)
    assert all(storage_key.is_encrypted(disk.locations[0][1]) for disk in disks)
