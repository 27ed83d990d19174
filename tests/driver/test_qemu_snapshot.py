"""Snapshots of servers of real QEMU that are begun, broken off and gone on with."""

import dataclasses
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from imagesvc.interface import errors
from imagesvc.interface.compute import ServerSpec
from imagesvc.interface.operation import Handle
from imagesvc.testing.conformance.compute_server import PROJECT
from imagesvc.testing.conformance.operation import follow, result_of
from imagesvc_drivers.compute.qemu import QemuCompute, process
from imagesvc_drivers.compute.qemu.server_folder import ServerFolder
from tests.driver.test_qemu_attach import Suite, driver, spec, state, suite
from tests.driver.test_qemu_compute import MARKER_OFFSET, spark

__all__ = ["driver", "spark", "spec", "state", "suite"]


@contextmanager
def in_use(disk: Path) -> Iterator[None]:
    """Let another program have the lock of a disk of a stopped server."""
    argv = ["qemu-io", "-f", "qcow2", str(disk)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        holder.stdin.write(b"read 0 512\n")
        holder.stdin.flush()
        while b"read 512" not in holder.stdout.readline():
            continue
        yield
        holder.stdin.close()
        holder.stdout.read()


def marker(driver: QemuCompute, snapshot_id: str) -> bytes:
    """What the guest wrote on the disk that was copied."""
    with driver.open_snapshot(snapshot_id, offset=MARKER_OFFSET) as stream:
        return stream.read(5)


@pytest.fixture
def server_id(suite: Suite, driver: QemuCompute, spec: ServerSpec, state: Path) -> str:
    """A stopped server of two disks, booted once."""
    made = suite.server(driver, dataclasses.replace(spec, disks=spec.disks * 2))
    process.end(ServerFolder(state / "servers" / made))
    return made


def write(suite: Suite, driver: QemuCompute, server_id: str) -> None:
    """Boot the server and let its guest write on both disks."""
    offset = len(driver.read_console(server_id, project_id=PROJECT))
    driver.start_server(server_id, project_id=PROJECT)
    suite.console(driver, server_id, text=b"boots=00002", offset=offset)
    for letter in (b"W", b"D"):
        offset = len(driver.read_console(server_id, project_id=PROJECT))
        driver.write_console(server_id, letter + b"later\n", project_id=PROJECT)
        suite.console(driver, server_id, text=b"OK", offset=offset)


def test_a_copy_that_met_a_server_just_started_shows_all_disks_at_the_later_instant(
    suite: Suite, driver: QemuCompute, server_id: str, state: Path
) -> None:
    with in_use(state / "servers" / server_id / "disk1.qcow2"):
        handle = driver.start_group_snapshot(server_id, "two", project_id=PROJECT)
        driver._crew.wait(10)
    write(suite, driver, server_id)
    made = result_of(driver, handle)
    assert [marker(driver, made[disk]) for disk in ("disk0", "disk1")] == [b"later"] * 2


def test_a_server_that_ran_between_the_copies_of_two_disks_is_copied_again(
    suite: Suite, driver: QemuCompute, server_id: str, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = driver._host.tool
    flatten, calls = tool.flatten, []

    def interrupted(*asked: Any) -> None:
        flatten(*asked)
        calls.append(asked)
        if len(calls) == 1:
            write(suite, driver, server_id)
            process.end(ServerFolder(state / "servers" / server_id))

    monkeypatch.setattr(tool, "flatten", interrupted)
    made = result_of(driver, driver.start_group_snapshot(server_id, "two", project_id=PROJECT))
    assert [marker(driver, made[disk]) for disk in ("disk0", "disk1")] == [b"later"] * 2


@pytest.mark.parametrize("after", [False, True])
def test_a_copy_has_failed_once_nothing_is_left_of_it(
    driver: QemuCompute, server_id: str, state: Path, monkeypatch: pytest.MonkeyPatch, after: bool
) -> None:
    def broken(*_: Any) -> None:
        raise errors.DriverError("The disk could not be read.")

    remove = driver._snapshotting.shelf.remove

    def killed(snapshot_id: str) -> None:
        if after:
            remove(snapshot_id)
        raise KeyboardInterrupt

    monkeypatch.setattr(driver._host.tool, "flatten", broken)
    with monkeypatch.context() as held:
        held.setattr(driver._crew, "put", lambda *_: None)
        held.setattr(driver._snapshotting.shelf, "remove", killed)
        handle = driver.start_snapshot(server_id, "disk0", "broken", project_id=PROJECT)
        with pytest.raises(KeyboardInterrupt):
            driver._snapshotting._work(handle)
        assert not driver.poll(handle).done
    assert follow(driver, handle).error == "The disk could not be read."
    assert list((state / "snapshots").iterdir()) == []


def test_a_copy_that_was_begun_is_found_again_though_its_server_is_gone(
    driver: QemuCompute, server_id: str, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start() -> Handle:
        return driver.start_group_snapshot(server_id, "orphan", project_id=PROJECT)

    with monkeypatch.context() as held:
        held.setattr(driver._crew, "put", lambda *_: None)
        handle = start()
    driver.delete_server(server_id, project_id=PROJECT)
    assert start() == handle
    driver.cancel(handle)
    assert follow(driver, handle).done
    assert list((state / "snapshots").iterdir()) == []
    with pytest.raises(errors.NotFound):
        driver.start_group_snapshot(server_id, "other", project_id=PROJECT)
