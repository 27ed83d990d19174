"""Laws of compute drivers whose caller is killed while long work begins or runs."""

from typing import ClassVar

from imagesvc.interface import compute
from imagesvc.interface.compute import ServerSpec
from imagesvc.testing.conformance.compute_server import ComputeServerConformance
from imagesvc.testing.conformance.operation import result_of
from imagesvc.testing.conformance.work_kill import KilledWork


class ComputeKillConformance(KilledWork, ComputeServerConformance):
    """The named points are those of the driver; without any it is killed at lines of its code."""

    # Points of `imagesvc.crashpoint` that the driver passes in start_create and its polls.
    CREATE_CRASH_POINTS: ClassVar[tuple[str, ...]] = ()
    # The same for start_snapshot of a running server.
    SNAPSHOT_CRASH_POINTS: ClassVar[tuple[str, ...]] = ()

    def test_a_creation_goes_on_after_a_kill(
        self, driver: compute.ComputeDriver, spec: ServerSpec
    ) -> None:
        """After kill -9 at any point the same token, or poll, ends with the servers asked for."""
        points = self.CREATE_CRASH_POINTS
        for token in self.cut_short(driver, points, "start_create", lambda one: (spec, 2, one)):
            made = result_of(driver, driver.start_create(spec, 2, token))
            ids = {each["server_id"] for each in made}
            assert {server.server_id for server in driver.list_servers(self.project_id)} == ids, (
                token
            )
            for server_id in ids:
                self.console(driver, server_id)
                driver.delete_server(server_id, project_id=self.project_id)

    def test_a_snapshot_goes_on_after_a_kill(
        self, driver: compute.ComputeDriver, spec: ServerSpec
    ) -> None:
        """After kill -9 at any point the same token ends with one readable snapshot."""
        server_id = self.server(driver, spec)
        disk = driver.get_server(server_id, project_id=self.project_id).disks[0]
        for token in self.cut_short(
            driver,
            self.SNAPSHOT_CRASH_POINTS,
            "start_snapshot",
            lambda one: (server_id, disk.disk_id, one),
            project_id=self.project_id,
        ):
            handle = driver.start_snapshot(
                server_id, disk.disk_id, token, project_id=self.project_id
            )
            snapshot_id = result_of(driver, handle)
            with driver.open_snapshot(snapshot_id) as stream:
                assert len(stream.read()) == disk.size_bytes
            driver.delete_snapshot(snapshot_id)
