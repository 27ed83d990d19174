"""A Linux guest with its agent: file systems are frozen at the instant of a copy, and thawed."""

import dataclasses
import re
import subprocess
from pathlib import Path

import pytest

from imagesvc.interface.compute import Consistency, ServerSpec
from imagesvc.testing.conformance.compute_server import PROJECT
from imagesvc.testing.conformance.operation import result_of
from imagesvc_drivers.compute.qemu import QemuCompute
from tests import guest_disk
from tests.driver.test_qemu_attach import Suite, driver, state, suite
from tests.driver.test_qemu_compute import source_of

__all__ = ["driver", "state", "suite"]
pytestmark = [pytest.mark.peer, pytest.mark.timeout(300)]

VIRTUAL_BYTES = 96 << 20
BOOTED = re.compile(rb"IMAGESVC-BOOT boots=(\d+)")


@pytest.fixture
def spec(tmp_path: Path) -> ServerSpec:
    """One server of the guest."""
    path = tmp_path / "linux.raw"
    command = [guest_disk.TOOLS / "make-linux-image", path]
    subprocess.run(command, check=True, capture_output=True)
    source = source_of(path.with_suffix(".qcow2"))
    source = dataclasses.replace(source, virtual_size_bytes=VIRTUAL_BYTES)
    return ServerSpec("linux", PROJECT, (source,), memory_mib=256)


def test_a_guest_with_an_agent_is_frozen_for_its_copy_and_writes_on(
    driver: QemuCompute, suite: Suite, spec: ServerSpec, tmp_path: Path
) -> None:
    server_id = result_of(driver, driver.start_create(spec, 1, "one"))[0]["server_id"]
    suite.console(driver, server_id, text=b"# ")
    driver.write_console(server_id, b"echo before >/data/word\n", project_id=PROJECT)
    driver.write_console(server_id, b"echo written=$(cat /data/word)\n", project_id=PROJECT)
    suite.console(driver, server_id, text=b"written=before")
    handle = driver.start_group_snapshot(server_id, "copy", project_id=PROJECT, quiesce=True)
    (snapshot_id,) = result_of(driver, handle).values()
    assert driver.snapshot_consistency(snapshot_id) is Consistency.APPLICATION
    driver.write_console(server_id, b"echo after >/data/word && sync\n", project_id=PROJECT)
    driver.write_console(server_id, b"echo written=$(cat /data/word)\n", project_id=PROJECT)
    suite.console(driver, server_id, text=b"written=after")

    # No sync was asked for: that the word is on the disk is the agent's work.
    copy = tmp_path / "copy.raw"
    with driver.open_snapshot(snapshot_id) as stream:
        copy.write_bytes(stream.read())
    again = dataclasses.replace(source_of(copy), virtual_size_bytes=VIRTUAL_BYTES)
    later = dataclasses.replace(spec, name="later", disks=(again,))
    server_id = result_of(driver, driver.start_create(later, 1, "two"))[0]["server_id"]
    log = suite.console(driver, server_id, text=b"# ")
    assert BOOTED.findall(log) == [b"2"]
    driver.write_console(server_id, b"echo written=$(cat /data/word)\n", project_id=PROJECT)
    suite.console(driver, server_id, text=b"written=before")
