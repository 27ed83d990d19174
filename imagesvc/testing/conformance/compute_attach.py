"""Laws of compute drivers that attach volumes (ATTACH)."""

from collections.abc import Mapping
from typing import Any

import pytest

from imagesvc.interface import compute, errors
from imagesvc.interface.compute import ComputeCapability, ServerSpec, ServerState
from imagesvc.testing.conformance.compute_server import UNKNOWN, ComputeServerConformance


class ComputeAttachConformance(ComputeServerConformance):
    """A driver that promises ATTACH gives the fixture `connection`."""

    @pytest.fixture
    def connection(self, driver: compute.ComputeDriver) -> Mapping[str, Any] | None:
        """A free volume as its driver describes it (`imagesvc.interface.volume.Connection`)."""
        assert not self.has(driver, ComputeCapability.ATTACH), "give the fixture `connection`"
        return None

    @pytest.mark.parametrize("running", [False, True])
    def test_a_volume_stays_attached_over_restarts_until_it_is_detached(
        self,
        driver: compute.ComputeDriver,
        spec: ServerSpec,
        connection: Mapping[str, Any] | None,
        running: bool,
    ) -> None:
        """attach_volume and detach_volume, each of which may be repeated; Server.volumes."""
        if connection is None:
            return
        server_id, volume_id = self.server(driver, spec), connection["volume_id"]
        if not running:
            driver.stop_server(server_id, project_id=self.project_id)
        for _ in range(2):
            driver.attach_volume(server_id, connection, project_id=self.project_id)
        other = self.again(driver)
        assert other.get_server(server_id, project_id=self.project_id).volumes == (volume_id,)
        other.stop_server(server_id, project_id=self.project_id)
        other.start_server(server_id, project_id=self.project_id)
        found = driver.get_server(server_id, project_id=self.project_id)
        assert (found.volumes, found.state) == ((volume_id,), ServerState.RUNNING)
        driver.stop_server(server_id, project_id=self.project_id)
        for _ in range(2):
            driver.detach_volume(server_id, volume_id, project_id=self.project_id)
        assert other.get_server(server_id, project_id=self.project_id).volumes == ()
        driver.start_server(server_id, project_id=self.project_id)

    def test_nothing_is_attached_to_a_server_of_another_project(
        self,
        driver: compute.ComputeDriver,
        spec: ServerSpec,
        connection: Mapping[str, Any] | None,
    ) -> None:
        """A server of another project is NotFound, and nothing happens to it."""
        if connection is None:
            return
        mine = self.server(driver, spec)
        for server_id, project_id in ((mine, self.foreign_id), (UNKNOWN, self.project_id)):
            with pytest.raises(errors.NotFound):
                driver.attach_volume(server_id, connection, project_id=project_id)
            with pytest.raises(errors.NotFound):
                driver.detach_volume(server_id, connection["volume_id"], project_id=project_id)
        assert driver.get_server(mine, project_id=self.project_id).volumes == ()

    def test_a_connection_of_an_unknown_protocol_is_refused(
        self,
        driver: compute.ComputeDriver,
        spec: ServerSpec,
        connection: Mapping[str, Any] | None,
    ) -> None:
        """attach_volume raises NotSupported for a connection whose protocol is not known."""
        if connection is None:
            return
        server_id = self.server(driver, spec)
        strange = {"volume_id": UNKNOWN, "protocol": "pigeon"}
        with pytest.raises(errors.NotSupported):
            driver.attach_volume(server_id, strange, project_id=self.project_id)
        assert driver.get_server(server_id, project_id=self.project_id).volumes == ()
