"""What the suites of bare metal share: a node that is deployed, read, and freed after."""

import abc
import uuid
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import pytest

from imagesvc.interface import baremetal, errors
from imagesvc.interface.baremetal import BaremetalCapability, DeploySpec
from imagesvc.interface.image_source import ImageSource
from imagesvc.interface.operation import Handle
from imagesvc.testing.conformance.operation import OperationConformance, result_of

PROJECT = "conformance"
FOREIGN = "somebody-else"
UNKNOWN = "no-such-node"


class BaremetalNodeConformance(OperationConformance):
    """Fixtures and ways; the node is freed after each test."""

    VERSION = baremetal.VERSION
    CAPABILITY = BaremetalCapability
    # Address of this machine under which the backend fetches images from the suite.
    ADDRESS: ClassVar[str] = "127.0.0.1"

    @abc.abstractmethod
    @pytest.fixture
    def image_source(self) -> ImageSource:
        """A raw image, whose bytes the suite reads at its `local_path`."""

    @abc.abstractmethod
    @pytest.fixture
    def node_id(self) -> str:
        """A node that PROJECT may use and FOREIGN not, free, its disk larger than the image."""

    @pytest.fixture
    def spec(self, image_source: ImageSource) -> DeploySpec:
        """What is deployed."""
        return DeploySpec(PROJECT, image_source, image_source.image_id)

    @pytest.fixture(autouse=True)
    def _node_is_free(self, driver: baremetal.BaremetalDriver, node_id: str) -> Iterator[None]:
        yield
        driver.open()
        for snapshot_id in self.__dict__.get("_snapshots", ()):
            driver.delete_snapshot(snapshot_id)
        token = uuid.uuid4().hex
        result_of(driver, driver.start_undeploy(node_id, token, project_id=PROJECT))

    @pytest.fixture
    def start_work(self, node_id: str, spec: DeploySpec) -> Callable[[Any, str], Handle]:
        """Long work of this kind: deploying."""
        return lambda driver, token: driver.start_deploy(node_id, spec, token)

    def deploy(self, driver: baremetal.BaremetalDriver, node_id: str, spec: DeploySpec) -> None:
        """Deploy an image, to the end."""
        token = uuid.uuid4().hex
        assert result_of(driver, driver.start_deploy(node_id, spec, token)) == node_id

    def snapshot(self, driver: baremetal.BaremetalDriver, node_id: str) -> str:
        """Hold the disk of a node, give the id of the snapshot."""
        token = uuid.uuid4().hex
        made = str(result_of(driver, driver.start_snapshot(node_id, token, project_id=PROJECT)))
        self.__dict__.setdefault("_snapshots", []).append(made)
        return made

    def content(self, driver: baremetal.BaremetalDriver, node_id: str) -> bytes | None:
        """What is on the disk; None where the driver cannot tell."""
        if not self.has(driver, BaremetalCapability.CAPTURE):
            return None
        try:
            snapshot_id = self.snapshot(driver, node_id)
        except errors.NotFound:  # the project does not have the node
            return None
        with driver.open_snapshot(snapshot_id) as stream:
            whole: bytes = stream.read()
        driver.delete_snapshot(snapshot_id)
        return whole
