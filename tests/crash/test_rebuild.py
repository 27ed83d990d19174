"""A worker killed anywhere in a rebuild: every server ends with the new disk, and its data."""

import pytest

from imagesvc.domain.server import DataDisk
from tests.crash.points import thinned
from tests.crash.station import until
from tests.crash.test_capture import create, kill_and_recover, run_here, upload

POINTS = (
    "step.rebuild.begin",
    "compute.qemu.rebuild_recorded",
    "step.rebuild.started",
    "compute.qemu.rebuild_stopped",
    "compute.qemu.rebuild_changed",
    "step.rebuild.ended",
    "step.rebuild.done",
)


@pytest.mark.parametrize(
    "point",
    thinned(
        POINTS,
        "compute.qemu.rebuild_recorded",
        "compute.qemu.rebuild_changed",
        "step.rebuild.ended",
    ),
)
def test_servers_are_rebuilt_whatever_line_the_worker_dies_at(station, guest, point):
    old, new = upload(station, guest), upload(station, guest)
    made = run_here(station, create(station, old, count=2, data_disks=(DataDisk(old.id),)))
    ids = [one["server_id"] for one in made.result["servers"]]
    job = station.service.rebuilds.start(station.caller, server_ids=ids, image_id=new.id)
    ended = kill_and_recover(station, job, point)
    assert (ended.state, ended.error_text) == ("done", None)
    assert ended.result["servers"] == [{"server_id": each, "error": ""} for each in ids]
    for server_id in ids:
        server = station.service.servers.get(station.caller, server_id)
        assert (server.state, server.image_id, len(server.disks)) == ("running", new.id, 2)
        until(lambda server_id=server_id: b"disk2=(empty)" in log(station, server_id))


def log(station, server_id):
    """What the guest said since the last boot."""
    said = station.service.servers.console_log(station.caller, server_id)
    return said.rpartition(b"IMAGESVC-BOOT")[2]
