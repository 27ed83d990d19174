"""Laws of volume drivers (`imagesvc.interface.volume`).

class TestAcmeVolume(VolumeConformance):
    @pytest.fixture
    def driver(self, tmp_path): return self.make(AcmeVolume, url=...)

    @pytest.fixture
    def image_source(self): return ImageSource(...)    # raw, with a local_path
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from imagesvc.interface import errors, volume
from imagesvc.interface.image_source import ImageSource
from imagesvc.interface.operation import ProgressState
from imagesvc.interface.volume import VolumeCapability, VolumeSpec, VolumeState
from imagesvc.testing.conformance import http_file
from imagesvc.testing.conformance.comparison import same
from imagesvc.testing.conformance.operation import follow, result_of
from imagesvc.testing.conformance.volume_disk import (
    FOREIGN,
    MARGIN_BYTES,
    OTHER_SERVER,
    PROJECT,
    SERVER,
    UNKNOWN,
)
from imagesvc.testing.conformance.volume_kill import VolumeKillConformance

__all__ = ["FOREIGN", "PROJECT", "UNKNOWN", "VolumeConformance"]


class VolumeConformance(VolumeKillConformance):
    """The suite; volumes that it makes are deleted after each test."""

    def test_volumes_of_one_creation_are_empty_and_numbered(
        self, driver: volume.VolumeDriver, spec: VolumeSpec
    ) -> None:
        """VolumeSpec: with a count above one the volumes are named name-1, name-2, ..."""
        made = result_of(driver, driver.start_create(spec, 3, "three"))
        found = [driver.get_volume(each, project_id=self.project_id) for each in made]
        assert [each.name for each in found] == ["law-1", "law-2", "law-3"]
        assert {each.state for each in found} == {VolumeState.AVAILABLE}
        assert all(each.size_bytes >= spec.size_bytes for each in found)
        content = self.content(driver, made[0])
        assert content is None or content.count(0) == len(content) == found[0].size_bytes

    def test_the_list_has_pages_in_the_order_of_ids(
        self, driver: volume.VolumeDriver, spec: VolumeSpec
    ) -> None:
        """list_volumes: ordered by id, those after the id `after`, of this project."""
        result_of(driver, driver.start_create(spec, 2, "pages"))
        every = [found.volume_id for found in driver.list_volumes(self.project_id)]
        assert every == sorted(every)
        assert len(every) == 2
        first = driver.list_volumes(self.project_id, limit=1)
        rest = driver.list_volumes(self.project_id, after=first[0].volume_id)
        assert [found.volume_id for found in (*first, *rest)] == every
        assert driver.list_volumes(self.foreign_id) == []

    def test_a_volume_of_another_project_is_not_found(
        self, driver: volume.VolumeDriver, spec: VolumeSpec
    ) -> None:
        """A volume of another project is NotFound, and nothing happens to it."""
        mine = self.make_volume(driver, spec)
        for volume_id, project_id in (
            (mine, self.foreign_id),
            (UNKNOWN, self.project_id),
            ("../x", self.project_id),
        ):
            calls: list[Callable[[str, str], Any]] = [
                lambda i, p: driver.get_volume(i, project_id=p),
                lambda i, p: driver.connect(i, SERVER, project_id=p),
                lambda i, p: driver.disconnect(i, SERVER, project_id=p),
            ]
            if self.has(driver, VolumeCapability.SNAPSHOT):
                calls.append(lambda i, p: driver.start_snapshot(i, "foreign", project_id=p))
            for call in calls:
                with pytest.raises(errors.NotFound):
                    call(volume_id, project_id)
            driver.delete_volume(volume_id, project_id=project_id)
        assert driver.get_volume(mine, project_id=self.project_id).server_id is None

    def test_another_instance_finds_the_volumes_and_a_deletion_may_be_repeated(
        self, driver: volume.VolumeDriver, spec: VolumeSpec
    ) -> None:
        """Volumes outlive the service."""
        volume_id = self.make_volume(driver, spec)
        driver.close()
        other = self.again(driver)
        assert other.get_volume(volume_id, project_id=self.project_id).name == "law"
        for _ in range(2):
            other.delete_volume(volume_id, project_id=self.project_id)
        with pytest.raises(errors.NotFound):
            driver.get_volume(volume_id, project_id=self.project_id)

    def test_a_volume_of_an_image_reads_as_its_disk_and_as_zeros_behind(
        self, driver: volume.VolumeDriver, image_spec: VolumeSpec, image_source: ImageSource
    ) -> None:
        """VolumeSpec: it reads as the disk of the image, and as zeros behind it."""
        volume_id = self.make_volume(driver, image_spec)
        found = driver.get_volume(volume_id, project_id=self.project_id)
        assert found.image_id == image_source.image_id
        content = self.content(driver, volume_id)
        if content is not None:
            assert image_source.local_path is not None
            disk = image_source.local_path.read_bytes()
            assert same(content[: len(disk)], disk)
            assert not any(content[len(disk) :])
            assert len(content) == found.size_bytes

    def test_an_image_without_a_local_file_comes_by_its_url(
        self, driver: volume.VolumeDriver, image_spec: VolumeSpec, image_source: ImageSource
    ) -> None:
        """ImageSource: `url` takes Range and needs no token; `local_path` may be missing."""
        assert image_source.local_path is not None
        with http_file.served(image_source.local_path, self.ADDRESS) as url:
            source = dataclasses.replace(image_source, url=url, local_path=None)
            volume_id = self.make_volume(driver, dataclasses.replace(image_spec, source=source))
        content = self.content(driver, volume_id)
        disk = image_source.local_path.read_bytes()
        assert content is None or same(content[: len(disk)], disk)

    def test_a_creation_of_other_bytes_fails_and_leaves_nothing(
        self, driver: volume.VolumeDriver, image_spec: VolumeSpec, image_source: ImageSource
    ) -> None:
        """start_create: all or none; bytes that are not those of the digest make no volume."""
        wrong = dataclasses.replace(image_source, digest="0" * 128)
        handle = driver.start_create(dataclasses.replace(image_spec, source=wrong), 2, "wrong")
        ended = follow(driver, handle)
        assert ended.state is ProgressState.FAILED
        assert ended.error
        assert driver.list_volumes(self.project_id) == []

    def test_a_volume_smaller_than_its_image_is_refused(
        self, driver: volume.VolumeDriver, image_spec: VolumeSpec
    ) -> None:
        """start_create raises InvalidArgument if the image's disk is larger than `size_bytes`."""
        small = dataclasses.replace(image_spec, size_bytes=image_spec.size_bytes // 2)
        assert small.size_bytes < image_spec.size_bytes - MARGIN_BYTES
        with pytest.raises(errors.InvalidArgument):
            driver.start_create(small, 1, "small")

    def test_one_server_has_a_volume_until_it_is_taken_back(
        self, driver: volume.VolumeDriver, spec: VolumeSpec
    ) -> None:
        """connect, disconnect and delete_volume, as another instance sees them too."""
        volume_id = self.make_volume(driver, spec)
        connection = driver.connect(volume_id, SERVER, project_id=self.project_id)
        assert connection["volume_id"] == volume_id
        assert connection["protocol"]
        assert driver.connect(volume_id, SERVER, project_id=self.project_id) == connection
        other = self.again(driver)
        found = other.get_volume(volume_id, project_id=self.project_id)
        assert (found.state, found.server_id) == (VolumeState.IN_USE, SERVER)
        with pytest.raises(errors.Busy):
            other.connect(volume_id, OTHER_SERVER, project_id=self.project_id)
        with pytest.raises(errors.Busy):
            other.delete_volume(volume_id, project_id=self.project_id)
        other.disconnect(volume_id, OTHER_SERVER, project_id=self.project_id)
        assert driver.get_volume(volume_id, project_id=self.project_id).server_id == SERVER
        for _ in range(2):
            other.disconnect(volume_id, SERVER, project_id=self.project_id)
        assert (
            driver.get_volume(volume_id, project_id=self.project_id).state is VolumeState.AVAILABLE
        )

    def test_a_snapshot_reads_as_the_raw_disk_though_the_volume_is_gone(
        self, driver: volume.VolumeDriver, image_spec: VolumeSpec
    ) -> None:
        """open_snapshot: the raw bytes from `offset`, snapshot_size of them."""
        if not self.has(driver, VolumeCapability.SNAPSHOT):
            return
        volume_id = self.make_volume(driver, image_spec)
        snapshot_id = self.snapshot(driver, volume_id)
        driver.delete_volume(volume_id, project_id=self.project_id)
        assert driver.snapshot_size(snapshot_id) >= image_spec.size_bytes
        with driver.open_snapshot(snapshot_id) as stream:
            whole = stream.read()
        assert len(whole) == driver.snapshot_size(snapshot_id)
        with driver.open_snapshot(snapshot_id, offset=1000) as stream:
            assert same(stream.read(5000), whole[1000:6000])
        for _ in range(2):
            driver.delete_snapshot(snapshot_id)
        for call in (driver.open_snapshot, driver.snapshot_size):
            with pytest.raises(errors.NotFound):
                call(snapshot_id)

    def test_a_snapshot_is_an_image_only_with_its_capability(
        self, driver: volume.VolumeDriver, spec: VolumeSpec
    ) -> None:
        """snapshot_image (SNAPSHOT_IMAGE): an id, the same each time; NotFound once it is gone."""
        if not self.has(driver, VolumeCapability.SNAPSHOT_IMAGE):
            with pytest.raises(errors.NotSupported):
                driver.snapshot_image(UNKNOWN)
            return
        snapshot_id = self.snapshot(driver, self.make_volume(driver, spec))
        image_id = driver.snapshot_image(snapshot_id)
        assert image_id
        assert self.again(driver).snapshot_image(snapshot_id) == image_id
        driver.delete_snapshot(snapshot_id)
        with pytest.raises(errors.NotFound):
            driver.snapshot_image(snapshot_id)

    def test_optional_methods_say_so_when_missing(self, driver: volume.VolumeDriver) -> None:
        """Without the capability a method raises NotSupported."""
        optional: list[Callable[[], Any]] = [
            lambda: driver.start_snapshot(UNKNOWN, "none", project_id=self.project_id),
            lambda: driver.snapshot_size(UNKNOWN),
            lambda: driver.open_snapshot(UNKNOWN),
        ]
        known = self.has(driver, VolumeCapability.SNAPSHOT)
        for call in optional:
            with pytest.raises(errors.NotFound if known else errors.NotSupported):
                call()
        if not known:
            with pytest.raises(errors.NotSupported):
                driver.delete_snapshot(UNKNOWN)
