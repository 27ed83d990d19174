"""Laws of compute drivers whose servers have several disks."""

import dataclasses

import pytest

from imagesvc.interface import compute, errors
from imagesvc.interface.compute import ComputeCapability, EmptyDisk, ServerSpec
from imagesvc.testing.conformance.comparison import same
from imagesvc.testing.conformance.compute_kill import ComputeKillConformance
from imagesvc.testing.conformance.operation import result_of

EMPTY_BYTES = 3 << 20


class ComputeDiskConformance(ComputeKillConformance):
    """Data disks: made, told apart, copied together."""

    def disks(self, driver: compute.ComputeDriver, spec: ServerSpec, count: int) -> ServerSpec:
        """So many disks of the image; one alone where servers have no more."""
        if compute.makes_data_disks(driver):
            return dataclasses.replace(spec, disks=spec.disks * count)
        self.note("servers have no data disks")
        return spec

    def test_data_disks_need_their_capability(
        self, driver: compute.ComputeDriver, spec: ServerSpec
    ) -> None:
        """ServerSpec: data disks only with DATA_DISK (before contract 1.4: always)."""
        two = dataclasses.replace(spec, disks=spec.disks * 2)
        if compute.makes_data_disks(driver):
            made = result_of(driver, driver.start_create(two, 1, "two disks"))
            found = driver.get_server(made[0]["server_id"], project_id=self.project_id)
            assert len(found.disks) == 2
            return
        with pytest.raises(errors.NotSupported):
            driver.start_create(two, 1, "two disks")
        assert driver.list_servers(self.project_id) == []

    def test_disks_stand_in_the_order_of_the_spec(
        self, driver: compute.ComputeDriver, spec: ServerSpec
    ) -> None:
        """ServerSpec: disks[0] boots, the others are data disks, in this order."""
        if not compute.makes_data_disks(driver):
            self.note("servers have no data disks")
            return
        image = spec.disks[0]
        sizes = tuple(image.virtual_size_bytes + (number << 30) for number in range(3))
        disks = tuple(dataclasses.replace(image, virtual_size_bytes=size) for size in sizes)
        server_id = self.server(driver, dataclasses.replace(spec, disks=disks))
        found = driver.get_server(server_id, project_id=self.project_id).disks
        assert [disk.boot for disk in found] == [True, False, False]
        assert all(disk.size_bytes >= size for disk, size in zip(found, sizes, strict=True))
        assert found[0].size_bytes < found[1].size_bytes < found[2].size_bytes
        serials = [disk.serial for disk in found if disk.serial]
        assert len(set(serials)) == len(serials)

    def test_an_empty_disk_stands_at_its_place(
        self, driver: compute.ComputeDriver, spec: ServerSpec
    ) -> None:
        """EmptyDisk (EMPTY_DISK): without content, `index` among all disks of the server."""
        if not self.has(driver, ComputeCapability.EMPTY_DISK):
            self.note("servers get no empty disks")
            return
        places = (EmptyDisk(1, EMPTY_BYTES), EmptyDisk(3, 2 * EMPTY_BYTES))
        wanted = dataclasses.replace(spec, disks=spec.disks * 2, empty_disks=places)
        server_id = self.server(driver, wanted)
        found = driver.get_server(server_id, project_id=self.project_id).disks
        assert len(found) == 4
        assert [found[place.index].size_bytes for place in places] == [
            place.size_bytes for place in places
        ]
        handle = driver.start_snapshot(
            server_id, found[1].disk_id, "empty", project_id=self.project_id
        )
        with driver.open_snapshot(result_of(driver, handle)) as stream:
            assert same(stream.read(), bytes(EMPTY_BYTES))

    def test_all_disks_are_copied_at_one_instant(
        self, driver: compute.ComputeDriver, spec: ServerSpec
    ) -> None:
        """start_group_snapshot (CONSISTENT_GROUP): a dict disk id -> snapshot id."""
        server_id = self.server(driver, self.disks(driver, spec, 2))
        if not self.has(driver, ComputeCapability.CONSISTENT_GROUP):
            with pytest.raises(errors.NotSupported):
                driver.start_group_snapshot(server_id, "group", project_id=self.project_id)
            return
        handle = driver.start_group_snapshot(server_id, "group", project_id=self.project_id)
        made = result_of(driver, handle)
        disks = driver.get_server(server_id, project_id=self.project_id).disks
        assert {d.disk_id: d.size_bytes for d in disks} == {
            disk_id: driver.snapshot_size(each) for disk_id, each in made.items()
        }

    def test_some_disks_are_copied_at_one_instant(
        self, driver: compute.ComputeDriver, spec: ServerSpec
    ) -> None:
        """start_disks_snapshot (CONSISTENT_GROUP): of these disks at least; NotFound for others."""
        server_id = self.server(driver, self.disks(driver, spec, 3))
        disks = driver.get_server(server_id, project_id=self.project_id).disks
        wanted = [disk.disk_id for disk in disks[1:]]
        if not self.has(driver, ComputeCapability.CONSISTENT_GROUP):
            with pytest.raises(errors.NotSupported):
                driver.start_disks_snapshot(server_id, wanted, "some", project_id=self.project_id)
            return
        driver.stop_server(server_id, project_id=self.project_id)
        handle = driver.start_disks_snapshot(server_id, wanted, "some", project_id=self.project_id)
        made = result_of(driver, handle)
        assert set(wanted) <= set(made)
        assert {driver.snapshot_size(made[disk_id]) for disk_id in wanted} == {
            disk.size_bytes for disk in disks[1:]
        }
        with pytest.raises(errors.NotFound):
            driver.start_disks_snapshot(
                server_id, [*wanted, "no-such-disk"], "none", project_id=self.project_id
            )

    def test_a_group_snapshot_goes_on_after_a_kill(
        self, driver: compute.ComputeDriver, spec: ServerSpec
    ) -> None:
        """After kill -9 at any point the same token ends with one snapshot of each disk."""
        if not self.has(driver, ComputeCapability.CONSISTENT_GROUP):
            self.note("disks are not copied together")
            return
        server_id = self.server(driver, dataclasses.replace(spec, disks=spec.disks * 2))
        disks = driver.get_server(server_id, project_id=self.project_id).disks
        points = self.SNAPSHOT_CRASH_POINTS
        for token in self.cut_short(
            driver,
            points,
            "start_group_snapshot",
            lambda one: (server_id, one),
            project_id=self.project_id,
        ):
            handle = driver.start_group_snapshot(server_id, token, project_id=self.project_id)
            made = result_of(driver, handle)
            assert set(made) == {disk.disk_id for disk in disks}, token
            for disk in disks:
                with driver.open_snapshot(made[disk.disk_id]) as stream:
                    assert len(stream.read()) == disk.size_bytes
                driver.delete_snapshot(made[disk.disk_id])
