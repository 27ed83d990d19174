"""Volumes at servers, when one of the two backends fails half-way."""

import dataclasses

import pytest

from imagesvc import errors
from imagesvc import service as services
from imagesvc.backend.registry import Backends
from imagesvc.db import lease
from imagesvc.interface import errors as driver_errors
from imagesvc.interface.volume import VolumeSpec
from imagesvc.manager import volume_hold
from imagesvc.testing.conformance.operation import result_of
from tests.unit.worker import conftest as worker
from tests.unit.worker.paper_compute import PaperCompute

CALLER = worker.CALLER


class AttachingCompute(PaperCompute):
    """Notes what is attached; `faults` are raised instead, `meanwhile` is called before."""

    def __init__(self):
        super().__init__()
        self.attached = set()
        self.meanwhile = lambda: None

    def attach_volume(self, server_id, connection, *, project_id):
        self._call("attach_volume")
        self.meanwhile()
        self.attached.add((server_id, connection["volume_id"]))

    def get_server(self, server_id, *, project_id):
        found = super().get_server(server_id, project_id=project_id)
        has = tuple(volume_id for server, volume_id in self.attached if server == server_id)
        return dataclasses.replace(found, volumes=has)

    def detach_volume(self, server_id, volume_id, *, project_id):
        self._call("detach_volume")
        self.attached.discard((server_id, volume_id))


@pytest.fixture
def compute():
    """Two servers of the caller, one of somebody else."""
    driver = AttachingCompute()
    driver.servers |= {"server": "project", "second": "project", "foreign": "other"}
    return driver


@pytest.fixture
def service(service_of, compute, monkeypatch):
    """A service with these servers and volumes as files."""

    class PaperBackends(Backends):
        def compute(self, backend_id=None):
            return compute

    monkeypatch.setattr(services, "Backends", PaperBackends)
    return service_of(worker.CONF)


@pytest.fixture
def volume_id(service):
    """A free volume of 1 MiB."""
    driver = service.backends.volume()
    (made,) = result_of(driver, driver.start_create(VolumeSpec("v", "project", 1 << 20), 1, "v"))
    return made


def holder(service, volume_id):
    """The server that the volume names."""
    return service.volumes.get(CALLER, volume_id).server_id


def actions(service):
    """What the trail says of volumes, oldest first."""
    events = service.audits.query(CALLER, limit=100)
    return [
        f"{event.action} {event.outcome}"
        for event in reversed(list(events))
        if event.target_type == "volume"
    ]


def test_attach_and_detach_tell_both_backends_and_the_trail(service, compute, volume_id):
    found = service.attachments.attach(CALLER, "server", volume_id)
    assert (found.state, found.server_id) == ("in-use", "server")
    assert compute.attached == {("server", volume_id)}
    service.attachments.attach(CALLER, "server", volume_id)
    service.attachments.detach(CALLER, "server", volume_id)
    assert (holder(service, volume_id), compute.attached) == (None, set())
    assert actions(service) == [
        "volume:attach success", "volume:attach success", "volume:detach success",
    ]  # fmt: skip


def test_a_volume_that_another_server_has_is_busy(service, compute, volume_id):
    service.attachments.attach(CALLER, "server", volume_id)
    with pytest.raises(driver_errors.Busy):
        service.attachments.attach(CALLER, "second", volume_id)
    with pytest.raises(errors.AttachmentNotFound):
        service.attachments.detach(CALLER, "second", volume_id)
    with pytest.raises(driver_errors.Busy):
        service.volumes.delete(CALLER, volume_id)
    assert holder(service, volume_id) == "server"


def test_a_refused_attachment_leaves_the_volume_free(service, compute, volume_id):
    compute.faults["attach_volume"] = driver_errors.InvalidArgument("The server has enough disks.")
    with pytest.raises(driver_errors.InvalidArgument):
        service.attachments.attach(CALLER, "server", volume_id)
    assert holder(service, volume_id) is None
    assert actions(service) == ["volume:attach failure"]


@pytest.fixture
def lost(service, compute, volume_id):
    """An attachment whose answer was lost: nobody knows whether the server has the volume."""
    compute.faults["attach_volume"] = driver_errors.Timeout("No answer.")
    with pytest.raises(driver_errors.Timeout):
        service.attachments.attach(CALLER, "server", volume_id)
    assert holder(service, volume_id) == "server"
    del compute.faults["attach_volume"]


def test_an_attachment_whose_answer_was_lost_can_be_asked_for_again(
    service, compute, volume_id, lost
):
    service.attachments.attach(CALLER, "server", volume_id)
    assert compute.attached == {("server", volume_id)}


def test_an_attachment_whose_answer_was_lost_can_be_taken_back(service, volume_id, lost):
    service.attachments.detach(CALLER, "server", volume_id)
    assert holder(service, volume_id) is None


def test_a_guest_that_does_not_let_go_keeps_the_volume(service, compute, volume_id):
    service.attachments.attach(CALLER, "server", volume_id)
    compute.faults["detach_volume"] = driver_errors.Busy("The guest does not let go.")
    with pytest.raises(driver_errors.Busy):
        service.attachments.detach(CALLER, "server", volume_id)
    assert holder(service, volume_id) == "server"


def test_volumes_of_a_server_that_is_gone_are_free_for_others(service, compute, volume_id):
    service.attachments.attach(CALLER, "server", volume_id)
    del compute.servers["server"]
    found = service.attachments.attach(CALLER, "second", volume_id)
    assert found.server_id == "second"


def test_a_server_of_another_project_gets_no_volume(service, volume_id):
    with pytest.raises(errors.ServerNotFound):
        service.attachments.attach(CALLER, "foreign", volume_id)
    assert holder(service, volume_id) is None


def test_while_a_volume_is_attached_nothing_else_is_done_to_it(
    service, compute, volume_id, monkeypatch
):
    monkeypatch.setattr(volume_hold, "WAIT_S", 0.0)

    def meanwhile():
        for act in (
            lambda: service.attachments.attach(CALLER, "server", volume_id),
            lambda: service.attachments.detach(CALLER, "server", volume_id),
            lambda: service.volumes.delete(CALLER, volume_id),
        ):
            with pytest.raises(driver_errors.Busy, match="Another action"):
                act()

    compute.meanwhile = meanwhile
    service.attachments.attach(CALLER, "server", volume_id)
    assert (holder(service, volume_id), compute.attached) == ("server", {("server", volume_id)})


def test_a_volume_that_a_killed_process_acted_on_is_free_after_a_while(
    service, volume_id, monkeypatch
):
    monkeypatch.setattr(volume_hold, "LEASE_S", 0.3)
    taken, killed = lease.acquire, []

    def once_by_another(conn, name, worker, seconds):
        if not killed:
            killed.append(taken(conn, name, "killed", seconds))
        return taken(conn, name, worker, seconds)

    monkeypatch.setattr(lease, "acquire", once_by_another)
    service.attachments.attach(CALLER, "server", volume_id)
    assert killed == [True]
    assert holder(service, volume_id) == "server"


def test_a_volume_whose_server_is_busy_is_not_free_before_it_is_detached(
    service, compute, volume_id
):
    compute.faults["attach_volume"] = driver_errors.Busy("Another action is under way.")
    with pytest.raises(driver_errors.Busy):
        service.attachments.attach(CALLER, "server", volume_id)
    assert holder(service, volume_id) == "server"
    service.attachments.detach(CALLER, "server", volume_id)
    assert holder(service, volume_id) is None


def test_a_volume_that_is_gone_can_be_detached_from_the_server_that_has_it(
    service, compute, volume_id
):
    service.attachments.attach(CALLER, "server", volume_id)
    driver = service.backends.volume()
    driver.disconnect(volume_id, "server", project_id="project")
    driver.delete_volume(volume_id, project_id="project")
    for server_id in ("second", "nobody"):
        with pytest.raises(errors.VolumeNotFound):
            service.attachments.detach(CALLER, server_id, volume_id)
    service.attachments.detach(CALLER, "server", volume_id)
    assert compute.attached == set()
    with pytest.raises(errors.VolumeNotFound):
        service.attachments.detach(CALLER, "server", volume_id)
