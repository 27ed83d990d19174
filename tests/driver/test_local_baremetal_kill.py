"""Work on local nodes that is killed, and gone on with when the node is somebody else's.

The thread that works ends at a named point as if it were killed: its locks are gone, what it
wrote stays.
"""

import errno
import fcntl
import os
import types
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from imagesvc.interface.baremetal import DeploySpec, NodeState
from imagesvc.interface.operation import Handle, ProgressState
from imagesvc.testing.conformance.operation import follow, result_of
from imagesvc_drivers.baremetal import local_task
from imagesvc_drivers.baremetal.local import LocalBaremetal
from imagesvc_drivers.baremetal.local_node import NodeRecord
from imagesvc_drivers.client import record
from imagesvc_drivers.client.operation_book import OperationBook
from tests.driver.test_local_baremetal import DISK_BYTES, NODE_BYTES, raw, source_of

__all__ = ["raw"]

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")

MINE, NEXT = "mine", "next"
HELD = "00000000-0000-4000-8000-000000000000"
Kill = Callable[[str], None]


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """The disk of the only node, which every project may use."""
    path = tmp_path / "node.raw"
    path.write_bytes(bytes(NODE_BYTES))
    return path


@pytest.fixture
def driver(tmp_path: Path, disk: Path) -> Iterator[LocalBaremetal]:
    """The driver with one node."""
    options = types.SimpleNamespace(
        state_dir=str(tmp_path / "state"), nodes=[f"n:{disk}"], fetch_timeout_s=5.0,
        lock_timeout_s=1.0,
    )  # fmt: skip
    made = LocalBaremetal(options, backend_id="kill")
    made.open()
    yield made
    made.close()


@pytest.fixture
def kill(monkeypatch: pytest.MonkeyPatch) -> Kill:
    """Whoever passes the point is gone; an empty one ends that."""

    def at(point: str) -> None:
        def passed(name: str) -> None:
            if name == point:
                raise SystemExit

        monkeypatch.setattr(local_task, "crashpoint", passed)

    return at


def spec(project_id: str, raw: Path) -> DeploySpec:
    """The image for a project."""
    return DeploySpec(project_id, source_of(raw), f"image-of-{project_id}")


def stopped(driver: LocalBaremetal, handle: Handle) -> None:
    """Wait until the thread of the work is gone."""
    driver._desk._crew.wait(5.0)
    assert driver._desk.state(handle) is ProgressState.RUNNING


def deployed(driver: LocalBaremetal, project_id: str, raw: Path) -> None:
    """The project has the node."""
    result_of(driver, driver.start_deploy("n", spec(project_id, raw), f"deploy-{project_id}"))


def test_an_erasure_gone_on_with_leaves_the_next_project_its_disk(
    driver: LocalBaremetal, disk: Path, raw: Path, kill: Kill
) -> None:
    deployed(driver, MINE, raw)
    kill("baremetal.local.erased")
    handle = driver.start_undeploy("n", "erase", project_id=MINE)
    stopped(driver, handle)
    kill("")
    deployed(driver, NEXT, raw)
    assert result_of(driver, handle) == "n"
    assert disk.read_bytes()[:DISK_BYTES] == raw.read_bytes()
    assert driver.get_node("n", project_id=NEXT).state is NodeState.ACTIVE


def test_an_erasure_cancelled_after_it_was_through_leaves_the_node_free(
    driver: LocalBaremetal, raw: Path, kill: Kill
) -> None:
    deployed(driver, MINE, raw)
    kill("baremetal.local.erased")
    handle = driver.start_undeploy("n", "erase", project_id=MINE)
    stopped(driver, handle)
    kill("")
    driver.cancel(handle)
    assert follow(driver, handle).done
    found = driver.get_node("n", project_id=NEXT)
    assert (found.state, found.project_id) == (NodeState.AVAILABLE, None)


def test_an_erased_disk_is_not_erased_again(
    driver: LocalBaremetal, disk: Path, raw: Path, kill: Kill
) -> None:
    deployed(driver, MINE, raw)
    kill("baremetal.local.erased")
    handle = driver.start_undeploy("n", "erase", project_id=MINE)
    stopped(driver, handle)
    kill("")
    with disk.open("r+b") as stream:
        stream.write(b"installed by hand")
    assert result_of(driver, handle) == "n"
    assert disk.read_bytes().startswith(b"installed by hand")


@pytest.mark.parametrize("cancelled", [False, True])
def test_a_deployment_gone_on_with_leaves_the_next_project_its_disk(
    driver: LocalBaremetal, disk: Path, raw: Path, kill: Kill, cancelled: bool
) -> None:
    kill("baremetal.local.deployed")
    handle = driver.start_deploy("n", spec(MINE, raw), "deploy")
    stopped(driver, handle)
    kill("")
    result_of(driver, driver.start_undeploy("n", "erase", project_id=MINE))
    deployed(driver, NEXT, raw)
    with disk.open("r+b") as stream:
        stream.write(b"written by the machine")
    if cancelled:
        driver.cancel(handle)
    wanted = ProgressState.CANCELLED if cancelled else ProgressState.FAILED
    assert follow(driver, handle).state is wanted
    assert disk.read_bytes().startswith(b"written by the machine")
    assert driver.get_node("n", project_id=NEXT).state is NodeState.ACTIVE


def test_a_deployed_disk_is_not_written_again(
    driver: LocalBaremetal, disk: Path, raw: Path, kill: Kill
) -> None:
    kill("baremetal.local.deployed")
    handle = driver.start_deploy("n", spec(MINE, raw), "deploy")
    stopped(driver, handle)
    kill("")
    with disk.open("r+b") as stream:
        stream.write(b"written by the machine")
    assert result_of(driver, handle) == "n"
    assert disk.read_bytes().startswith(b"written by the machine")


@pytest.mark.parametrize("taken", ["erased", "deployed"])
def test_a_capture_gone_on_with_reads_no_disk_that_changed_hands(
    driver: LocalBaremetal, raw: Path, kill: Kill, taken: str
) -> None:
    deployed(driver, MINE, raw)
    kill("baremetal.local.hold_recorded")
    handle = driver.start_snapshot("n", "hold", project_id=MINE)
    stopped(driver, handle)
    kill("")
    result_of(driver, driver.start_undeploy("n", "erase", project_id=MINE))
    if taken == "deployed":
        deployed(driver, NEXT, raw)
    ended = follow(driver, handle)
    assert (ended.state, ended.result) == (ProgressState.FAILED, None)
    assert ("No node" if taken == "deployed" else "other work") in ended.error
    assert not driver._nodes.captured("n")


def test_a_capture_gone_on_with_does_not_hold_a_disk_that_is_written(
    driver: LocalBaremetal, raw: Path, kill: Kill
) -> None:
    deployed(driver, MINE, raw)
    kill("baremetal.local.hold_recorded")
    hold = driver.start_snapshot("n", "hold", project_id=MINE)
    stopped(driver, hold)
    kill("baremetal.local.erase_recorded")
    erase = driver.start_undeploy("n", "erase", project_id=MINE)
    stopped(driver, erase)
    kill("")
    assert follow(driver, hold).state is ProgressState.FAILED
    assert result_of(driver, erase) == "n"


@pytest.mark.parametrize("cancelled", [False, True])
def test_work_gone_on_with_does_not_write_to_a_disk_that_is_held(
    driver: LocalBaremetal, disk: Path, raw: Path, kill: Kill, cancelled: bool
) -> None:
    point = "deployed" if cancelled else "erase_recorded"
    deployed(driver, MINE, raw)
    kill(f"baremetal.local.{point}")
    if cancelled:
        handle = driver.start_deploy("n", spec(MINE, raw), "again")
    else:
        handle = driver.start_undeploy("n", "erase", project_id=MINE)
    stopped(driver, handle)
    kill("")
    driver._nodes.hold(HELD, "n", NODE_BYTES)
    if cancelled:
        driver.cancel(handle)
        driver._desk.close(5.0)
    else:
        assert "read" in follow(driver, handle).error
    assert disk.read_bytes()[:DISK_BYTES] == raw.read_bytes()
    driver.delete_snapshot(HELD)
    assert follow(driver, handle).done


def taken(driver: LocalBaremetal, raw: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A deployment that was killed after it took the node, before it was written down."""

    def gone(*_: object) -> None:
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(OperationBook, "begin", gone)
        with pytest.raises(SystemExit):
            driver.start_deploy("n", spec(MINE, raw), "deploy")


def test_a_node_taken_for_work_that_never_began_is_free(
    driver: LocalBaremetal, raw: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken(driver, raw, monkeypatch)
    assert driver.forestall("deploy") is None
    found = driver.get_node("n", project_id=NEXT)
    assert (found.state, found.project_id) == (NodeState.AVAILABLE, None)
    deployed(driver, NEXT, raw)


def test_work_that_began_at_the_second_try_and_is_cancelled_leaves_the_node_as_it_was(
    driver: LocalBaremetal, raw: Path, kill: Kill, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken(driver, raw, monkeypatch)
    kill("baremetal.local.deploy_recorded")
    handle = driver.start_deploy("n", spec(MINE, raw), "deploy")
    stopped(driver, handle)
    assert driver.get_node("n", project_id=MINE).state is NodeState.DEPLOYING
    kill("")
    driver.cancel(handle)
    assert follow(driver, handle).state is ProgressState.CANCELLED
    assert driver.get_node("n", project_id=NEXT).state is NodeState.AVAILABLE
    known = record.read(driver._state_dir / "nodes" / "n.json")
    assert known is not None
    assert "before" not in known  # a process of an earlier release reads it


def test_a_node_that_is_left_in_a_state_of_work_that_ended_takes_other_work(
    driver: LocalBaremetal, raw: Path, kill: Kill
) -> None:
    kill("baremetal.local.deploy_recorded")
    handle = driver.start_deploy("n", spec(MINE, raw), "deploy")
    stopped(driver, handle)
    kill("")
    driver.cancel(handle)
    follow(driver, handle)
    driver._nodes.write("n", NodeRecord("deploying", MINE, handle=handle))
    assert result_of(driver, driver.start_undeploy("n", "erase", project_id=MINE)) == "n"
    assert driver.get_node("n", project_id=NEXT).state is NodeState.AVAILABLE


def test_an_erasure_that_is_killed_keeps_the_size_of_the_disk(
    driver: LocalBaremetal, disk: Path, raw: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployed(driver, MINE, raw)
    cut = os.ftruncate

    def shortened(fd: int, length: int) -> None:
        cut(fd, length)
        raise SystemExit

    monkeypatch.setattr(os, "ftruncate", shortened)
    handle = driver.start_undeploy("n", "erase", project_id=MINE)
    driver._desk.close(5.0)
    monkeypatch.undo()
    assert disk.stat().st_size == NODE_BYTES
    assert result_of(driver, handle) == "n"
    assert disk.stat().st_size == NODE_BYTES
    assert not any(disk.read_bytes())


def test_a_file_without_holes_is_erased_by_writing(
    driver: LocalBaremetal, disk: Path, raw: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(*_: object) -> int:
        raise OSError(errno.EOPNOTSUPP, "no holes here")

    deployed(driver, MINE, raw)
    monkeypatch.setattr(fcntl, "ioctl", none)
    result_of(driver, driver.start_undeploy("n", "erase", project_id=MINE))
    assert disk.read_bytes() == bytes(NODE_BYTES)
