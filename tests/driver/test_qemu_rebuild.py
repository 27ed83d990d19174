"""Rebuilds of servers of real QEMU beside other work on them."""

import dataclasses
from pathlib import Path

import pytest

from imagesvc.interface import errors
from imagesvc.interface.compute import ServerSpec
from imagesvc.testing.conformance.compute_server import PROJECT
from imagesvc.testing.conformance.operation import result_of
from imagesvc_drivers.compute.qemu import QemuCompute, process
from imagesvc_drivers.compute.qemu.server_folder import ServerFolder
from tests.driver.test_qemu_attach import Suite, driver, spec, state, suite
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
