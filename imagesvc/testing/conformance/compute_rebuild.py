"""Laws of compute drivers that give servers a new system disk (REBUILD)."""

import dataclasses
from typing import ClassVar

import pytest

from imagesvc.interface import base, compute, errors
from imagesvc.interface.compute import ComputeCapability, ServerSpec, ServerState
from imagesvc.interface.operation import ProgressState
from imagesvc.testing.conformance.comparison import same
from imagesvc.testing.conformance.compute_disk import ComputeDiskConformance
from imagesvc.testing.conformance.operation import follow, result_of


class ComputeRebuildConformance(ComputeDiskConformance):
    """The server stays who it is; its system disk is the old one or the new one, always whole."""

    # Points of `imagesvc.crashpoint` that the driver passes in start_rebuild of a running server.
    REBUILD_CRASH_POINTS: ClassVar[tuple[str, ...]] = ()

    def rebuilds(self, driver: compute.ComputeDriver) -> bool:
        """Whether the laws of rebuilding hold for this driver."""
        if not self.has(driver, ComputeCapability.REBUILD):
            self.note("servers are not rebuilt")
            return False
        return True

    def data(self, driver: compute.ComputeDriver, server_id: str, token: str) -> bytes:
        """The bytes of the second disk."""
        disk = driver.get_server(server_id, project_id=self.project_id).disks[1]
        handle = driver.start_snapshot(server_id, disk.disk_id, token, project_id=self.project_id)
        with driver.open_snapshot(result_of(driver, handle)) as stream:
            return stream.read()

    @pytest.mark.parametrize("stopped", [False, True])
    def test_a_rebuilt_server_keeps_its_data_disk_id_and_name(
        self, driver: compute.ComputeDriver, spec: ServerSpec, stopped: bool
    ) -> None:
        """start_rebuild: a running server is booted after; the result is the server id."""
        if not self.rebuilds(driver):
            return
        image = dataclasses.replace(spec.disks[0], image_id="the-other-image", os_type="windows")
        server_id = self.server(driver, dataclasses.replace(spec, disks=spec.disks * 2))
        if stopped:
            driver.stop_server(server_id, project_id=self.project_id)
        before = driver.get_server(server_id, project_id=self.project_id)
        data = self.data(driver, server_id, "before")
        offset = len(driver.read_console(server_id, project_id=self.project_id))
        handle = driver.start_rebuild(server_id, image, "rebuild", project_id=self.project_id)
        assert result_of(driver, handle) == server_id
        after = driver.get_server(server_id, project_id=self.project_id)
        assert after.state is (ServerState.STOPPED if stopped else ServerState.RUNNING)
        driver.start_server(server_id, project_id=self.project_id)
        self.console(driver, server_id, offset=offset)
        assert (after.image_id, after.os_type) == ("the-other-image", "windows")
        assert (after.name, after.disks) == (before.name, before.disks)
        assert same(self.data(driver, server_id, "after"), data)

    def test_a_rebuild_of_other_bytes_fails_and_leaves_the_old_disk(
        self, driver: compute.ComputeDriver, spec: ServerSpec
    ) -> None:
        """FAILED, and the server runs from the old disk: bytes that are not the digest's."""
        if not self.rebuilds(driver):
            return
        server_id = self.server(driver, spec)
        wrong = dataclasses.replace(spec.disks[0], digest="0" * 128, image_id="wrong")
        handle = driver.start_rebuild(server_id, wrong, "wrong", project_id=self.project_id)
        assert follow(driver, handle).state is ProgressState.FAILED
        found = driver.get_server(server_id, project_id=self.project_id)
        assert (found.state, found.image_id) == (ServerState.RUNNING, spec.image_id)

    def test_a_server_of_another_project_is_not_rebuilt(
        self, driver: compute.ComputeDriver, spec: ServerSpec
    ) -> None:
        """A server of another project is NotFound."""
        if not self.rebuilds(driver):
            return
        server_id = self.server(driver, spec)
        with pytest.raises(errors.NotFound):
            driver.start_rebuild(server_id, spec.disks[0], "foreign", project_id=self.foreign_id)

    def test_a_rebuild_is_found_by_its_token_and_one_not_begun_never_begins(
        self, driver: compute.ComputeDriver, spec: ServerSpec
    ) -> None:
        """forestall_rebuild (contract 1.2): nothing is begun to take it back, now or later."""
        if not self.rebuilds(driver) or driver.contract < base.Version(1, 2):
            return
        image = dataclasses.replace(spec.disks[0], image_id="the-other-image")
        server_id = self.server(driver, spec)
        for _ in range(2):
            assert driver.forestall_rebuild("never") is None
        handle = driver.start_rebuild(server_id, image, "never", project_id=self.project_id)
        assert follow(driver, handle).state is ProgressState.CANCELLED
        assert driver.get_server(server_id, project_id=self.project_id).image_id == spec.image_id
        handle = driver.start_rebuild(server_id, image, "known", project_id=self.project_id)
        for _ in range(2):
            assert self.again(driver).forestall_rebuild("known") == handle
        follow(driver, handle)

    def test_a_rebuild_goes_on_after_a_kill(
        self, driver: compute.ComputeDriver, spec: ServerSpec
    ) -> None:
        """After kill -9 at any point the server can boot, and the same token ends the work."""
        if not self.rebuilds(driver):
            return
        image = dataclasses.replace(spec.disks[0], image_id="the-other-image")
        server_id = self.server(driver, dataclasses.replace(spec, disks=spec.disks * 2))
        for token in self.cut_short(
            driver,
            self.REBUILD_CRASH_POINTS,
            "start_rebuild",
            lambda one: (server_id, image, one),
            project_id=self.project_id,
        ):
            offset = len(driver.read_console(server_id, project_id=self.project_id))
            driver.stop_server(server_id, project_id=self.project_id)
            driver.start_server(server_id, project_id=self.project_id)
            self.console(driver, server_id, offset=offset)
            handle = driver.start_rebuild(server_id, image, token, project_id=self.project_id)
            assert result_of(driver, handle) == server_id, token
            found = driver.get_server(server_id, project_id=self.project_id)
            assert (found.state, found.image_id) == (ServerState.RUNNING, image.image_id), token
            assert len(found.disks) == 2
