"""Volumes at servers of real QEMU: what the guest sees of them."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from imagesvc.interface import errors
from imagesvc.interface.compute import ServerSpec, ServerState
from imagesvc.testing.conformance import child
from imagesvc.testing.conformance.compute_server import PROJECT, ComputeServerConformance
from imagesvc_drivers.compute.qemu import QemuCompute, monitor, process
from imagesvc_drivers.compute.qemu.server_folder import ServerFolder
from tests.driver.test_qemu_compute import MARKER_OFFSET, source_of, spark

__all__ = ["spark"]


POINTS = ("compute.qemu.attach_recorded", "compute.qemu.attached", "compute.qemu.detached")


class Suite(ComputeServerConformance):
    """The ways of the suite, without its laws."""

    driver = None
    image_source = None


@pytest.fixture
def suite() -> Suite:
    return Suite()


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def driver(
    suite: Suite, state: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[QemuCompute]:
    sockets = tmp_path_factory.mktemp("r", numbered=True)
    made = suite.make(
        QemuCompute,
        state_dir=str(state),
        runtime_dir=str(sockets),
        detach_wait_s=0.5,
        accelerator="tcg",
    )
    yield made
    for server in made.list_servers(PROJECT):
        made.delete_server(server.server_id, project_id=PROJECT)
    made.close()


@pytest.fixture
def spec(spark: Path) -> ServerSpec:
    return ServerSpec("law", PROJECT, (source_of(spark.with_suffix(".qcow2")),))


@pytest.fixture
def connection(tmp_path: Path) -> dict[str, str]:
    """A data disk with a marker where the guest looks for one."""
    path = tmp_path / "volume.raw"
    path.write_bytes(bytes(MARKER_OFFSET) + b"data\0" + bytes(8 << 20))
    return {"volume_id": "v" * 36, "protocol": "file", "path": str(path), "format": "raw"}


def reset(server_id: str, state: Path) -> None:
    """Press the reset button: the same QEMU process, and the BIOS looks for disks again."""
    known = ServerFolder(state / "servers" / server_id).process()
    assert known is not None
    monitor.command(Path(known["monitor"]), "system_reset")


def test_the_guest_reads_a_volume_that_was_attached_while_it_ran(
    suite: Suite, driver: QemuCompute, spec: ServerSpec, state: Path, connection: dict[str, str]
) -> None:
    server_id = suite.server(driver, spec)
    pid = process.find(ServerFolder(state / "servers" / server_id))
    driver.attach_volume(server_id, connection, project_id=PROJECT)
    reset(server_id, state)
    suite.console(driver, server_id, text=b"boots=00002 marker=(empty) disk2=data")
    assert process.find(ServerFolder(state / "servers" / server_id)) == pid


def test_what_the_guest_writes_is_on_the_volume_and_stays_over_a_restart(
    suite: Suite, driver: QemuCompute, spec: ServerSpec, connection: dict[str, str]
) -> None:
    server_id = suite.server(driver, spec)
    driver.stop_server(server_id, project_id=PROJECT)
    driver.attach_volume(server_id, connection, project_id=PROJECT)
    driver.start_server(server_id, project_id=PROJECT)
    suite.console(driver, server_id, text=b"disk2=data")
    driver.write_console(server_id, b"Dwritten\n", project_id=PROJECT)
    suite.console(driver, server_id, text=b"OK")
    driver.stop_server(server_id, project_id=PROJECT)
    assert b"written" in Path(connection["path"]).read_bytes()
    driver.start_server(server_id, project_id=PROJECT)
    suite.console(driver, server_id, text=b"disk2=written")


def test_a_guest_that_does_not_let_go_keeps_the_volume_until_it_does(
    suite: Suite, driver: QemuCompute, spec: ServerSpec, state: Path, connection: dict[str, str]
) -> None:
    server_id, volume_id = suite.server(driver, spec), connection["volume_id"]
    driver.attach_volume(server_id, connection, project_id=PROJECT)
    for _ in range(2):
        with pytest.raises(errors.Busy, match="does not let go"):
            driver.detach_volume(server_id, volume_id, project_id=PROJECT)
    assert driver.get_server(server_id, project_id=PROJECT).volumes == (volume_id,)
    reset(server_id, state)  # a reset unplugs what was asked for
    driver.detach_volume(server_id, volume_id, project_id=PROJECT)
    suite.console(driver, server_id, text=b"boots=00002 marker=(empty) disk2=(none)")
    argv = ["qemu-io", "-f", "raw", "-c", "write 0 512", connection["path"]]
    subprocess.run(argv, check=True, capture_output=True)


def test_a_file_in_use_is_not_attached_and_the_server_is_as_before(
    suite: Suite, driver: QemuCompute, spec: ServerSpec, connection: dict[str, str]
) -> None:
    first, second = suite.server(driver, spec), suite.server(driver, spec)
    driver.attach_volume(first, connection, project_id=PROJECT)
    with pytest.raises(errors.Busy):
        driver.attach_volume(second, connection, project_id=PROJECT)
    assert driver.get_server(second, project_id=PROJECT).volumes == ()
    driver.stop_server(first, project_id=PROJECT)
    driver.attach_volume(second, connection, project_id=PROJECT)
    assert driver.get_server(second, project_id=PROJECT).state is ServerState.RUNNING


def test_a_server_has_only_so_many_disks(
    suite: Suite, driver: QemuCompute, spec: ServerSpec, connection: dict[str, str], tmp_path: Path
) -> None:
    server_id = suite.server(driver, spec)
    driver.stop_server(server_id, project_id=PROJECT)
    for number in range(1, driver.options.disks_max):
        more = connection | {"volume_id": f"volume-{number}"}
        driver.attach_volume(server_id, more, project_id=PROJECT)
    with pytest.raises(errors.InvalidArgument, match="at most"):
        driver.attach_volume(server_id, connection, project_id=PROJECT)


@pytest.mark.parametrize(
    ("point", "running"),
    [(POINTS[0], False), (POINTS[0], True), (POINTS[1], True), (POINTS[2], False)],
)
def test_a_kill_at_any_point_is_made_good_by_the_same_call(
    suite: Suite, driver: QemuCompute, spec: ServerSpec, connection: dict[str, str],
    state: Path, point: str, running: bool,
) -> None:  # fmt: skip
    server_id, volume_id = suite.server(driver, spec), connection["volume_id"]
    if not running:
        driver.stop_server(server_id, project_id=PROJECT)
    if point == "compute.qemu.detached":
        driver.attach_volume(server_id, connection, project_id=PROJECT)
        call = ("detach_volume", server_id, volume_id)
    else:
        call = ("attach_volume", server_id, connection)
    code = child.run_to_crash_point(suite.recipe(driver), point, *call, project_id=PROJECT)
    assert code == -9
    getattr(driver, call[0])(*call[1:], project_id=PROJECT)
    wanted = () if call[0] == "detach_volume" else (volume_id,)
    assert driver.get_server(server_id, project_id=PROJECT).volumes == wanted
    if not running:
        driver.start_server(server_id, project_id=PROJECT)
        seen = b"disk2=data" if wanted else b"disk2=(none)"
        suite.console(driver, server_id, text=b"boots=00002 marker=(empty) " + seen)
