"""What the suites of volumes share: volumes that are made, read, and deleted after."""

import abc
import uuid
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import pytest

from imagesvc.interface import volume
from imagesvc.interface.image_source import ImageSource
from imagesvc.interface.operation import Handle
from imagesvc.interface.volume import VolumeCapability, VolumeSpec
from imagesvc.testing.conformance.operation import OperationConformance, result_of

PROJECT = "conformance"
FOREIGN = "somebody-else"
UNKNOWN = "3f2f4f0e-0000-4000-8000-000000000000"
SERVER = "5a1d2c3b-0000-4000-8000-000000000001"
OTHER_SERVER = "5a1d2c3b-0000-4000-8000-000000000002"
MARGIN_BYTES = 1 << 20


class VolumeDiskConformance(OperationConformance):
    """Fixtures and ways; volumes that it makes are deleted after each test."""

    VERSION = volume.VERSION
    CAPABILITY = VolumeCapability
    # A backend that keeps projects itself has others: let the fixture `driver` set both.
    project_id: str = PROJECT
    foreign_id: str = FOREIGN
    # Address of this machine under which the backend fetches images from the suite.
    ADDRESS: ClassVar[str] = "127.0.0.1"

    @abc.abstractmethod
    @pytest.fixture
    def image_source(self) -> ImageSource:
        """A raw image, whose bytes the suite reads at its `local_path`."""

    @pytest.fixture
    def spec(self, driver: volume.VolumeDriver) -> VolumeSpec:
        """An empty volume of 4 MiB."""
        return VolumeSpec(name="law", project_id=self.project_id, size_bytes=4 << 20)

    @pytest.fixture
    def image_spec(self, driver: volume.VolumeDriver, image_source: ImageSource) -> VolumeSpec:
        """A volume of an image, with a margin behind it."""
        return VolumeSpec(
            name="law", project_id=self.project_id,
            source=image_source, image_id=image_source.image_id,
            size_bytes=image_source.virtual_size_bytes + MARGIN_BYTES,
        )  # fmt: skip

    @pytest.fixture(autouse=True)
    def _no_volume_stays(self, driver: volume.VolumeDriver) -> Iterator[None]:
        yield
        driver.open()
        for found in driver.list_volumes(self.project_id, limit=1000):
            if found.server_id is not None:
                driver.disconnect(found.volume_id, found.server_id, project_id=self.project_id)
            driver.delete_volume(found.volume_id, project_id=self.project_id)

    @pytest.fixture
    def start_work(self, spec: VolumeSpec) -> Callable[[Any, str], Handle]:
        """Long work of this kind: making one volume."""
        return lambda driver, token: driver.start_create(spec, 1, token)

    def make_volume(self, driver: volume.VolumeDriver, spec: VolumeSpec) -> str:
        """Make a volume, give its id."""
        (made,) = result_of(driver, driver.start_create(spec, 1, uuid.uuid4().hex))
        return str(made)

    def snapshot(self, driver: volume.VolumeDriver, volume_id: str) -> str:
        """Snapshot a volume, give the id of the snapshot."""
        token = uuid.uuid4().hex
        return str(
            result_of(driver, driver.start_snapshot(volume_id, token, project_id=self.project_id))
        )

    def content(self, driver: volume.VolumeDriver, volume_id: str) -> bytes | None:
        """What is on a volume; None where the driver cannot tell."""
        if not self.has(driver, VolumeCapability.SNAPSHOT):
            return None
        snapshot_id = self.snapshot(driver, volume_id)
        with driver.open_snapshot(snapshot_id) as stream:
            whole: bytes = stream.read()
        driver.delete_snapshot(snapshot_id)
        return whole
