"""A worker killed anywhere in the work on bare-metal nodes: the job ends rightly, once."""

import pytest

from tests.crash.points import thinned
from tests.crash.station import Station
from tests.crash.test_capture import kill_and_recover, run_here, upload

DEPLOY_POINTS = (
    "step.provision_node.begin",
    "step.provision_node.started",
    "baremetal.local.head_erased",
    "step.provision_node.done",
)
UNDEPLOY_POINTS = (
    "step.erase_node.begin",
    "step.erase_node.started",
    "step.erase_node.done",
)


@pytest.fixture
def disk(tmp_path):
    """The disk of the only node."""
    path = tmp_path / "node.raw"
    path.write_bytes(bytes(9 << 20))
    return path


@pytest.fixture
def station(tmp_path, disk):
    """An installation with one node."""
    made = Station(tmp_path, more=f"[baremetal_local]\nnodes = rack-1:{disk}\n")
    yield made
    made.stop()


@pytest.mark.parametrize(
    "point", thinned(DEPLOY_POINTS, "step.provision_node.started", "baremetal.local.head_erased")
)
def test_a_node_is_deployed_whatever_line_the_worker_dies_at(station, guest, disk, point):
    image = upload(station, guest)
    job = station.service.nodes.deploy(station.caller, "rack-1", image_id=image.id)
    ended = kill_and_recover(station, job, point)
    assert (ended.state, ended.error_text) == ("done", None)
    found = station.service.nodes.get(station.caller, "rack-1")
    assert (found.state, found.image_id) == ("active", image.id)
    assert disk.read_bytes()[: guest.stat().st_size] == guest.read_bytes()


@pytest.mark.parametrize("point", thinned(UNDEPLOY_POINTS, "step.erase_node.started"))
def test_a_node_is_erased_whatever_line_the_worker_dies_at(station, guest, disk, point):
    image = upload(station, guest)
    run_here(station, station.service.nodes.deploy(station.caller, "rack-1", image_id=image.id))
    job = station.service.nodes.undeploy(station.caller, "rack-1")
    ended = kill_and_recover(station, job, point)
    assert (ended.state, ended.error_text) == ("done", None)
    found = station.service.nodes.get(station.caller, "rack-1")
    assert (found.state, found.project_id) == ("available", None)
    assert not any(disk.read_bytes())
