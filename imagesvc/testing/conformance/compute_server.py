"""What the suites of compute share: servers that are made, heard, copied, and deleted after."""

import abc
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import pytest

from imagesvc.interface import compute
from imagesvc.interface.compute import ComputeCapability, ServerSpec
from imagesvc.interface.image_source import ImageSource
from imagesvc.interface.operation import Handle
from imagesvc.testing.conformance.operation import OperationConformance, result_of

PROJECT = "conformance"
FOREIGN = "somebody-else"
UNKNOWN = "3f2f4f0e-0000-4000-8000-000000000000"
_PAUSE_S = 0.03
_LIMIT_S = 60.0


class ComputeServerConformance(OperationConformance):
    """Fixtures and ways; servers that it makes are deleted after each test."""

    VERSION = compute.VERSION
    CAPABILITY = ComputeCapability
    # Address of this machine under which the backend fetches images from the suite.
    ADDRESS: ClassVar[str] = "127.0.0.1"
    # Two projects; against a cloud that keeps projects of its own, the fixture `driver` sets them.
    project_id: str = PROJECT
    foreign_id: str = FOREIGN

    @abc.abstractmethod
    @pytest.fixture
    def image_source(self) -> ImageSource:
        """A bootable image that says something on the serial console."""

    @pytest.fixture
    def spec(self, image_source: ImageSource) -> ServerSpec:
        """The servers of the suite."""
        return ServerSpec(
            name="law",
            project_id=self.project_id,
            disks=(image_source,),
            image_id=image_source.image_id,
        )

    @pytest.fixture(autouse=True)
    def _no_server_stays(self, driver: compute.ComputeDriver) -> Iterator[None]:
        yield
        driver.open()
        for server in driver.list_servers(self.project_id, limit=1000):
            driver.delete_server(server.server_id, project_id=self.project_id)

    @pytest.fixture
    def start_work(self, spec: ServerSpec) -> Callable[[Any, str], Handle]:
        """Long work of this kind: making one server."""
        return lambda driver, token: driver.start_create(spec, 1, token)

    def server(self, driver: compute.ComputeDriver, spec: ServerSpec) -> str:
        """Make a server, wait for its first words, give its id."""
        made = result_of(driver, driver.start_create(spec, 1, uuid.uuid4().hex))
        self.console(driver, made[0]["server_id"])
        return str(made[0]["server_id"])

    def console(
        self, driver: compute.ComputeDriver, server_id: str, *, text: bytes = b"\n", offset: int = 0
    ) -> bytes:
        """Wait until the console after `offset` holds `text`, and give it."""
        deadline = time.monotonic() + _LIMIT_S
        while True:
            log = driver.read_console(server_id, project_id=self.project_id, offset=offset)
            if text in log:
                return log
            assert time.monotonic() < deadline, f"{text!r} is not in {log!r}"
            time.sleep(_PAUSE_S)

    def snapshot(self, driver: compute.ComputeDriver, server_id: str) -> str:
        """Snapshot the system disk."""
        disk = driver.get_server(server_id, project_id=self.project_id).disks[0]
        handle = driver.start_snapshot(
            server_id, disk.disk_id, uuid.uuid4().hex, project_id=self.project_id
        )
        return str(result_of(driver, handle))
