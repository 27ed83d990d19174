"""Laws of volume drivers whose caller is killed."""

from typing import ClassVar

from imagesvc.interface import volume
from imagesvc.interface.volume import VolumeCapability, VolumeSpec
from imagesvc.testing.conformance.operation import result_of
from imagesvc.testing.conformance.volume_disk import SERVER, VolumeDiskConformance
from imagesvc.testing.conformance.work_kill import KilledWork


class VolumeKillConformance(KilledWork, VolumeDiskConformance):
    """The named points are those of the driver; without any it is killed at lines of its code."""

    # Points of `imagesvc.crashpoint` that the driver passes in start_create and its polls.
    CREATE_CRASH_POINTS: ClassVar[tuple[str, ...]] = ()
    # The same for start_snapshot, and for connect.
    SNAPSHOT_CRASH_POINTS: ClassVar[tuple[str, ...]] = ()
    CONNECT_CRASH_POINTS: ClassVar[tuple[str, ...]] = ()

    def test_a_creation_goes_on_after_a_kill(
        self, driver: volume.VolumeDriver, image_spec: VolumeSpec
    ) -> None:
        """After kill -9 at any point the same token ends with the volumes asked for."""
        points = self.CREATE_CRASH_POINTS
        for token in self.cut_short(
            driver, points, "start_create", lambda one: (image_spec, 2, one)
        ):
            made = result_of(driver, driver.start_create(image_spec, 2, token))
            there = [found.volume_id for found in driver.list_volumes(self.project_id)]
            assert sorted(made) == there, token
            for volume_id in made:
                content = self.content(driver, volume_id)
                assert content is None or len(content) >= image_spec.size_bytes
                driver.delete_volume(volume_id, project_id=self.project_id)

    def test_a_snapshot_goes_on_after_a_kill(
        self, driver: volume.VolumeDriver, spec: VolumeSpec
    ) -> None:
        """After kill -9 at any point the same token ends with one readable snapshot."""
        if not self.has(driver, VolumeCapability.SNAPSHOT):
            return
        volume_id = self.make_volume(driver, spec)
        for token in self.cut_short(
            driver, self.SNAPSHOT_CRASH_POINTS, "start_snapshot", lambda one: (volume_id, one),
            project_id=self.project_id,
        ):  # fmt: skip
            handle = driver.start_snapshot(volume_id, token, project_id=self.project_id)
            snapshot_id = result_of(driver, handle)
            with driver.open_snapshot(snapshot_id) as stream:
                assert len(stream.read()) == driver.snapshot_size(snapshot_id)
            driver.delete_snapshot(snapshot_id)

    def test_a_connection_that_was_cut_short_is_made_again_and_taken_back(
        self, driver: volume.VolumeDriver, spec: VolumeSpec
    ) -> None:
        """connect: given to the same server already is success."""
        volume_id = self.make_volume(driver, spec)
        for _ in self.cut_short(
            driver, self.CONNECT_CRASH_POINTS, "connect", lambda _: (volume_id, SERVER),
            project_id=self.project_id,
        ):  # fmt: skip
            connection = driver.connect(volume_id, SERVER, project_id=self.project_id)
            assert connection["volume_id"] == volume_id
            driver.disconnect(volume_id, SERVER, project_id=self.project_id)
            assert driver.get_volume(volume_id, project_id=self.project_id).server_id is None
