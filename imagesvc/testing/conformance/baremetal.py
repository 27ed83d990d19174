"""Laws of bare-metal drivers (`imagesvc.interface.baremetal`).

class TestAcmeBaremetal(BaremetalConformance):
    @pytest.fixture
    def driver(self, tmp_path): return self.make(AcmeBaremetal, url=...)

    @pytest.fixture
    def node_id(self): return "rack-7"

    @pytest.fixture
    def image_source(self): return ImageSource(...)    # raw, with a local_path
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from imagesvc.interface import baremetal, errors
from imagesvc.interface.baremetal import BaremetalCapability, DeploySpec, NodeState
from imagesvc.interface.image_source import ImageSource
from imagesvc.interface.operation import ProgressState
from imagesvc.testing.conformance import http_file
from imagesvc.testing.conformance.baremetal_kill import BaremetalKillConformance
from imagesvc.testing.conformance.baremetal_node import FOREIGN, PROJECT, UNKNOWN
from imagesvc.testing.conformance.comparison import same
from imagesvc.testing.conformance.operation import follow, result_of

__all__ = ["FOREIGN", "PROJECT", "UNKNOWN", "BaremetalConformance"]


class BaremetalConformance(BaremetalKillConformance):
    """The suite; the node is freed after each test."""

    def test_a_deployed_node_is_had_by_its_project_and_reads_as_the_image(
        self,
        driver: baremetal.BaremetalDriver,
        node_id: str,
        spec: DeploySpec,
        image_source: ImageSource,
    ) -> None:
        """start_deploy; another instance sees it too."""
        self.deploy(driver, node_id, spec)
        found = self.again(driver).get_node(node_id, project_id=PROJECT)
        assert (found.state, found.project_id) == (NodeState.ACTIVE, PROJECT)
        assert found.image_id == image_source.image_id
        assert found.size_bytes > image_source.virtual_size_bytes
        content = self.content(driver, node_id)
        if content is not None:
            assert image_source.local_path is not None
            disk = image_source.local_path.read_bytes()
            assert same(content[: len(disk)], disk)
            assert len(content) == found.size_bytes

    def test_an_image_without_a_local_file_comes_by_its_url(
        self, driver: baremetal.BaremetalDriver, node_id: str, spec: DeploySpec
    ) -> None:
        """ImageSource: `url` takes Range and needs no token; `local_path` may be missing."""
        path = spec.source.local_path
        assert path is not None
        with http_file.served(path, self.ADDRESS) as url:
            source = dataclasses.replace(spec.source, url=url, local_path=None)
            self.deploy(driver, node_id, dataclasses.replace(spec, source=source))
        content = self.content(driver, node_id)
        disk = path.read_bytes()
        assert content is None or same(content[: len(disk)], disk)

    def test_an_undeployed_node_is_free_and_its_disk_is_empty(
        self, driver: baremetal.BaremetalDriver, node_id: str, spec: DeploySpec
    ) -> None:
        """start_undeploy erases the whole disk; a free one is success."""
        self.deploy(driver, node_id, spec)
        for token in ("once", "again"):
            handle = driver.start_undeploy(node_id, token, project_id=PROJECT)
            assert result_of(driver, handle) == node_id
        found = driver.get_node(node_id, project_id=PROJECT)
        assert (found.state, found.image_id) == (NodeState.AVAILABLE, None)
        content = self.content(driver, node_id)
        assert content is None or not any(content)

    def test_the_list_has_pages_in_the_order_of_ids(
        self, driver: baremetal.BaremetalDriver, node_id: str
    ) -> None:
        """list_nodes: ordered by id, those after the id `after`, of this project."""
        every = [found.node_id for found in driver.list_nodes(PROJECT)]
        assert node_id in every
        assert every == sorted(every)
        first = driver.list_nodes(PROJECT, limit=1)
        rest = driver.list_nodes(PROJECT, after=first[0].node_id)
        assert [found.node_id for found in (*first, *rest)] == every
        assert node_id not in [found.node_id for found in driver.list_nodes(FOREIGN)]

    def test_a_node_of_another_project_is_not_found(
        self, driver: baremetal.BaremetalDriver, node_id: str, spec: DeploySpec
    ) -> None:
        """A node that the project may not use is NotFound, and nothing happens to it."""
        self.deploy(driver, node_id, spec)
        for one, project_id in ((node_id, FOREIGN), (UNKNOWN, PROJECT), ("../x", PROJECT)):
            foreign = dataclasses.replace(spec, project_id=project_id)
            calls: list[Callable[[str, str], Any]] = [
                lambda i, p: driver.get_node(i, project_id=p),
                lambda i, p, s=foreign: driver.start_deploy(i, s, "foreign"),  # type: ignore[misc]
                lambda i, p: driver.start_undeploy(i, "foreign", project_id=p),
            ]
            if self.has(driver, BaremetalCapability.CAPTURE):
                calls.append(lambda i, p: driver.start_snapshot(i, "foreign", project_id=p))
            for call in calls:
                with pytest.raises(errors.NotFound):
                    call(one, project_id)
        assert driver.get_node(node_id, project_id=PROJECT).state is NodeState.ACTIVE

    def test_a_deployment_of_other_bytes_fails_and_the_node_stays_free(
        self, driver: baremetal.BaremetalDriver, node_id: str, spec: DeploySpec
    ) -> None:
        """Bytes that are not those of the digest are not written."""
        wrong = dataclasses.replace(spec.source, digest="0" * 128)
        ended = follow(
            driver,
            driver.start_deploy(node_id, dataclasses.replace(spec, source=wrong), "wrong"),
        )
        assert ended.state is ProgressState.FAILED
        assert ended.error
        assert driver.get_node(node_id, project_id=PROJECT).state is NodeState.AVAILABLE

    def test_an_image_larger_than_the_disk_is_refused(
        self, driver: baremetal.BaremetalDriver, node_id: str, spec: DeploySpec
    ) -> None:
        """start_deploy raises InvalidArgument if the disk is too small."""
        size_bytes = driver.get_node(node_id, project_id=PROJECT).size_bytes
        source = dataclasses.replace(spec.source, virtual_size_bytes=size_bytes + 512)
        with pytest.raises(errors.InvalidArgument):
            driver.start_deploy(node_id, dataclasses.replace(spec, source=source), "large")

    def test_a_disk_that_is_read_is_not_written(
        self, driver: baremetal.BaremetalDriver, node_id: str, spec: DeploySpec
    ) -> None:
        """start_snapshot: deploying and undeploying is Busy until delete_snapshot."""
        if not self.has(driver, BaremetalCapability.CAPTURE):
            return
        self.deploy(driver, node_id, spec)
        snapshot_id = self.snapshot(driver, node_id)
        with pytest.raises(errors.Busy):
            driver.start_deploy(node_id, spec, "while read")
        with pytest.raises(errors.Busy):
            self.again(driver).start_undeploy(node_id, "while read", project_id=PROJECT)
        with driver.open_snapshot(snapshot_id, offset=1000) as stream:
            part = stream.read(5000)
        with driver.open_snapshot(snapshot_id) as stream:
            assert same(stream.read()[1000:6000], part)
        for _ in range(2):
            driver.delete_snapshot(snapshot_id)
        for call in (driver.open_snapshot, driver.snapshot_size):
            with pytest.raises(errors.NotFound):
                call(snapshot_id)
        self.deploy(driver, node_id, spec)

    def test_optional_methods_say_so_when_missing(self, driver: baremetal.BaremetalDriver) -> None:
        """Without the capability a method raises NotSupported."""
        optional: list[Callable[[], Any]] = [
            lambda: driver.start_snapshot(UNKNOWN, "none", project_id=PROJECT),
            lambda: driver.snapshot_size(UNKNOWN),
            lambda: driver.open_snapshot(UNKNOWN),
        ]
        known = self.has(driver, BaremetalCapability.CAPTURE)
        for call in optional:
            with pytest.raises(errors.NotFound if known else errors.NotSupported):
                call()
        if not known:
            with pytest.raises(errors.NotSupported):
                driver.delete_snapshot(UNKNOWN)
