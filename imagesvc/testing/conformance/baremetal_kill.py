"""Laws of bare-metal drivers whose caller is killed."""

from collections.abc import Callable
from typing import ClassVar

from imagesvc.interface import baremetal, base
from imagesvc.interface.baremetal import BaremetalCapability, DeploySpec, NodeState
from imagesvc.interface.operation import Handle, ProgressState
from imagesvc.testing.conformance.baremetal_node import PROJECT, BaremetalNodeConformance
from imagesvc.testing.conformance.comparison import same
from imagesvc.testing.conformance.operation import follow, result_of
from imagesvc.testing.conformance.work_kill import KilledWork


class BaremetalKillConformance(KilledWork, BaremetalNodeConformance):
    """The named points are those of the driver; without any it is killed at lines of its code."""

    # Points of `imagesvc.crashpoint` that the driver passes in start_deploy and its polls.
    DEPLOY_CRASH_POINTS: ClassVar[tuple[str, ...]] = ()
    # The same for start_undeploy, and for start_snapshot.
    UNDEPLOY_CRASH_POINTS: ClassVar[tuple[str, ...]] = ()
    SNAPSHOT_CRASH_POINTS: ClassVar[tuple[str, ...]] = ()

    def test_a_deployment_goes_on_after_a_kill(
        self, driver: baremetal.BaremetalDriver, node_id: str, spec: DeploySpec
    ) -> None:
        """After kill -9 at any point the same token ends with the image on the disk."""
        points = self.DEPLOY_CRASH_POINTS
        for token in self.cut_short(
            driver, points, "start_deploy", lambda one: (node_id, spec, one)
        ):
            assert result_of(driver, driver.start_deploy(node_id, spec, token)) == node_id
            found = driver.get_node(node_id, project_id=PROJECT)
            assert (found.state, found.project_id) == (NodeState.ACTIVE, PROJECT), token
            content = self.content(driver, node_id)
            assert spec.source.local_path is not None
            disk = spec.source.local_path.read_bytes()
            assert content is None or same(content[: len(disk)], disk), token

    def test_an_undeployment_goes_on_after_a_kill(
        self, driver: baremetal.BaremetalDriver, node_id: str, spec: DeploySpec
    ) -> None:
        """After kill -9 at any point the same token ends with a free node and an empty disk."""
        for token in self.cut_short(
            driver, self.UNDEPLOY_CRASH_POINTS, "start_undeploy", lambda one: (node_id, one),
            project_id=PROJECT,
        ):  # fmt: skip
            assert result_of(driver, driver.start_undeploy(node_id, token, project_id=PROJECT))
            assert driver.get_node(node_id, project_id=PROJECT).state is NodeState.AVAILABLE
            content = self.content(driver, node_id)
            assert content is None or not any(content), token

    def test_work_is_found_by_its_token_and_what_was_not_begun_never_begins(
        self, driver: baremetal.BaremetalDriver, node_id: str, spec: DeploySpec
    ) -> None:
        """forestall (contract 1.1): nothing is begun to take it back, now or later."""
        if driver.contract < base.Version(1, 1):
            self.note("written for contract 1.0")
            return
        self.deploy(driver, node_id, spec)
        content = self.content(driver, node_id)
        calls: list[Callable[[str], Handle]] = [
            lambda token: driver.start_deploy(node_id, spec, token),
            lambda token: driver.start_undeploy(node_id, token, project_id=PROJECT),
        ]
        for number, start in enumerate(calls):
            for _ in range(2):
                assert driver.forestall(f"never-{number}") is None
            assert follow(driver, start(f"never-{number}")).state is ProgressState.CANCELLED
        assert driver.get_node(node_id, project_id=PROJECT).state is NodeState.ACTIVE
        assert same(self.content(driver, node_id), content)
        for number, start in enumerate(calls):
            handle = start(f"known-{number}")
            for _ in range(2):
                assert self.again(driver).forestall(f"known-{number}") == handle
            follow(driver, handle)

    def test_a_snapshot_goes_on_after_a_kill(
        self, driver: baremetal.BaremetalDriver, node_id: str, spec: DeploySpec
    ) -> None:
        """After kill -9 at any point the same token ends with one readable snapshot."""
        if not self.has(driver, BaremetalCapability.CAPTURE):
            return
        self.deploy(driver, node_id, spec)
        for token in self.cut_short(
            driver, self.SNAPSHOT_CRASH_POINTS, "start_snapshot", lambda one: (node_id, one),
            project_id=PROJECT,
        ):  # fmt: skip
            handle = driver.start_snapshot(node_id, token, project_id=PROJECT)
            snapshot_id = result_of(driver, handle)
            with driver.open_snapshot(snapshot_id) as stream:
                assert len(stream.read()) == driver.snapshot_size(snapshot_id)
            driver.delete_snapshot(snapshot_id)
