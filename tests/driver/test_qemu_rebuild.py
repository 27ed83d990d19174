"""Rebuilds of servers of real QEMU beside other work on them."""

import dataclasses
from pathlib import Path

import pytest

from imagesvc.interface import errors
from imagesvc.interface.compute import ServerSpec
from imagesvc.interface.operation import ProgressState
from imagesvc.testing.conformance.compute_server import PROJECT
from imagesvc.testing.conformance.operation import follow, result_of
from imagesvc_drivers.compute.qemu import QemuCompute, process
from imagesvc_drivers.compute.qemu.server_folder import ServerFolder
from tests.driver.test_qemu_attach import driver, spec, state, suite
from tests.driver.test_qemu_compute import spark

__all__ = ["driver", "spark", "spec", "state", "suite"]


@pytest.fixture
def server_id(driver: QemuCompute, spec: ServerSpec, state: Path) -> str:
    """A stopped server."""
    made = result_of(driver, driver.start_create(spec, 1, "one"))[0]["server_id"]
    process.end(ServerFolder(state / "servers" / made))
    return str(made)


def test_a_server_is_rebuilt_by_one_work_at_a_time(
    driver: QemuCompute, spec: ServerSpec, server_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = dataclasses.replace(spec.disks[0], image_id="later")
    with monkeypatch.context() as held:
        held.setattr(driver._crew, "put", lambda *_: None)
        first = driver.start_rebuild(server_id, spec.disks[0], "first", project_id=PROJECT)
        with pytest.raises(errors.Busy, match="rebuilt already"):
            driver.start_rebuild(server_id, later, "second", project_id=PROJECT)
        again = driver.start_rebuild(server_id, spec.disks[0], "first", project_id=PROJECT)
        assert again == first
    result_of(driver, first)
    result_of(driver, driver.start_rebuild(server_id, later, "second", project_id=PROJECT))
    assert driver.get_server(server_id, project_id=PROJECT).image_id == "later"


def test_a_stopped_server_that_is_being_copied_is_not_rebuilt(
    driver: QemuCompute, spec: ServerSpec, server_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as held:
        held.setattr(driver._crew, "put", lambda *_: None)
        copying = driver.start_snapshot(server_id, "disk0", "copy", project_id=PROJECT)
    rebuilding = driver.start_rebuild(server_id, spec.disks[0], "busy", project_id=PROJECT)
    ended = follow(driver, rebuilding)
    assert (ended.state, ended.error) == (
        ProgressState.FAILED,
        "The server's disks are being copied.",
    )
    result_of(driver, copying)


def test_a_copy_does_not_take_the_disk_that_a_rebuild_has_put_in_place_of_its_own(
    driver: QemuCompute, spec: ServerSpec, server_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshotting = driver._snapshotting
    begin = snapshotting._begin

    def rebuilt_before(*asked: object) -> None:
        monkeypatch.setattr(snapshotting, "_begin", begin)
        with monkeypatch.context() as unseen:
            unseen.setattr(driver._book, "running", lambda: [])
            rebuilding = driver.start_rebuild(server_id, spec.disks[0], "new", project_id=PROJECT)
            result_of(driver, rebuilding)
        begin(*asked)

    monkeypatch.setattr(snapshotting, "_begin", rebuilt_before)
    ended = follow(driver, driver.start_snapshot(server_id, "disk0", "old", project_id=PROJECT))
    assert (ended.state, ended.error) == (
        ProgressState.FAILED,
        f"Server {server_id} was rebuilt before its disks were copied.",
    )
