"""A worker killed anywhere in a capture of several disks: all of them are stored, once."""

import pytest

from imagesvc.domain import capture as captured
from imagesvc.domain.server import DataDisk
from tests.crash.points import thinned
from tests.crash.station import until
from tests.crash.test_capture import clean, create, kill_and_recover, run_here, upload

POINTS = (
    "step.snapshot.done",
    "step.store.kept",
    "step.store.further_committed",
    "step.verify.done",
    "step.activate.begin",
    "step.activate.done",
    "step.cleanup.begin",
)
STATE = slice(1024, 1536)


def server_of(station, image, disks):
    """A server with as many data disks from the same image."""
    data = (DataDisk(image.id),) * disks
    made = run_here(station, create(station, image, data_disks=data))
    return made.result["servers"][0]["server_id"]


def bytes_of(station, image_id, disk=0):
    with station.service.image_files.download(station.caller, image_id, disk=disk).open() as found:
        return found.read()


@pytest.mark.parametrize(
    "point",
    thinned(POINTS, "step.snapshot.done", "step.store.further_committed", "step.activate.done"),
)
def test_a_whole_server_is_captured_once_whatever_line_its_worker_dies_at(station, guest, point):
    source = upload(station, guest)
    server_id = server_of(station, source, 1)
    image, job = station.service.captures.start(
        station.caller, server_id=server_id, name="whole", whole=True
    )
    ended = kill_and_recover(station, job, point)
    assert (ended.state, ended.error_text) == ("done", None)
    assert station.service.images.get(station.caller, image.id).kind == "whole-machine"
    size_bytes = guest.stat().st_size
    first, second = (bytes_of(station, image.id, disk) for disk in (0, 1))
    assert (len(first), len(second)) == (size_bytes, size_bytes)
    assert second == guest.read_bytes()
    assert first[STATE] != second[STATE]  # the system disk has counted its boot
    until(lambda: clean(station, {image.id, source.id}))
    assert station.quota() == [(2, 0), (3 * size_bytes, 0), (0, 0)]
    assert station.quota_is_true()


@pytest.mark.parametrize("point", ["step.store.kept", "step.activate.done"])
def test_data_disks_become_images_once_whatever_line_the_worker_dies_at(station, guest, point):
    source = upload(station, guest)
    server_id = server_of(station, source, 2)
    job = station.service.captures.start(
        station.caller, server_id=server_id, name="data", disk_ids=("disk1", "disk2")
    )[1]
    ended = kill_and_recover(station, job, point)
    assert (ended.state, ended.error_text) == ("done", None)
    images = captured.image_ids(job)
    assert [bytes_of(station, image_id) for image_id in images] == [guest.read_bytes()] * 2
    until(lambda: clean(station, {*images, source.id}))
    assert station.quota() == [(3, 0), (3 * guest.stat().st_size, 0), (0, 0)]
    assert station.quota_is_true()
