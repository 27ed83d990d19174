"""Volumes as files: the laws of the kind, and what is odd about this driver."""

import dataclasses
import hashlib
import random
import subprocess
import threading
import uuid
from pathlib import Path
from typing import Any

import pytest

from imagesvc.interface import errors
from imagesvc.interface.image_source import ImageSource
from imagesvc.interface.operation import ProgressState
from imagesvc.interface.volume import VolumeSpec
from imagesvc.testing.conformance.operation import follow, result_of
from imagesvc.testing.conformance.volume import PROJECT, VolumeConformance
from imagesvc_drivers.client.task import Work
from imagesvc_drivers.volume import local_task
from imagesvc_drivers.volume.local import LocalVolume

DISK_BYTES = 4 << 20


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A disk of 4 MiB with 1 MiB of data in its middle."""
    path = tmp_path_factory.mktemp("disk") / "disk.raw"
    data = random.Random(7).randbytes(1 << 20)
    path.write_bytes(bytes(1 << 20) + data + bytes(2 << 20))
    return path


def source_of(path: Path, disk_format: str) -> ImageSource:
    """The image as the service would hand it over."""
    return ImageSource(
        image_id=str(uuid.uuid4()),
        disk=0,
        disk_format=disk_format,
        size_bytes=path.stat().st_size,
        virtual_size_bytes=DISK_BYTES,
        digest=hashlib.sha512(path.read_bytes()).hexdigest(),
        url="http://127.0.0.1:9/none",
        local_path=path,
    )


class TestLocalVolume(VolumeConformance):
    CREATE_CRASH_POINTS = (
        "volume.local.create_recorded",
        "volume.local.disk_written",
        "volume.local.created",
    )
    SNAPSHOT_CRASH_POINTS = ("volume.local.snapshot_recorded", "volume.local.snapshot_sealed")
    CONNECT_CRASH_POINTS = ("volume.local.connected",)

    @pytest.fixture
    def driver(self, tmp_path: Path) -> LocalVolume:
        return self.make(LocalVolume, state_dir=str(tmp_path / "volume"))

    @pytest.fixture
    def image_source(self, raw: Path) -> ImageSource:
        return source_of(raw, "raw")

    @pytest.mark.parametrize(
        ("disk_format", "options"),
        [("qcow2", ()), ("vmdk", ()), ("vhd", ("-o", "force_size=on")), ("vhdx", ()), ("vdi", ())],
    )
    def test_a_volume_of_any_format_reads_as_the_disk_in_it(
        self, driver: LocalVolume, raw: Path, tmp_path: Path, disk_format: str,
        options: tuple[str, ...],
    ) -> None:  # fmt: skip
        path = tmp_path / f"image.{disk_format}"
        name = "vpc" if disk_format == "vhd" else disk_format
        argv = ["qemu-img", "convert", "-f", "raw", "-O", name, *options, str(raw), str(path)]
        subprocess.run(argv, check=True)
        spec = VolumeSpec("law", PROJECT, DISK_BYTES, source_of(path, disk_format))
        assert self.content(driver, self.make_volume(driver, spec)) == raw.read_bytes()

    def test_an_iso_is_refused(self, driver: LocalVolume, image_spec: VolumeSpec) -> None:
        source = dataclasses.replace(image_spec.source, disk_format="iso")  # type: ignore[type-var]
        with pytest.raises(errors.InvalidArgument, match="iso"):
            driver.start_create(dataclasses.replace(image_spec, source=source), 1, "iso")

    def test_an_image_that_names_another_file_makes_no_volume(
        self, driver: LocalVolume, tmp_path: Path
    ) -> None:
        hostile = tmp_path / "hostile.qcow2"
        argv = ["qemu-img", "create", "-q", "-u", "-f", "qcow2", "-b", "/etc/passwd", "-F", "raw"]
        subprocess.run([*argv, str(hostile), "4M"], check=True)
        spec = VolumeSpec("law", PROJECT, DISK_BYTES, source_of(hostile, "qcow2"))
        ended = follow(driver, driver.start_create(spec, 1, "hostile"))
        assert ended.state is ProgressState.FAILED
        assert driver.list_volumes(PROJECT) == []

    def test_a_volume_of_an_image_is_sparse_and_no_link_to_the_store(
        self, driver: LocalVolume, image_spec: VolumeSpec, raw: Path
    ) -> None:
        volume_id = self.make_volume(driver, image_spec)
        path = Path(driver.connect(volume_id, "s", project_id=PROJECT)["path"])
        facts = path.stat()
        assert facts.st_nlink == 1
        assert facts.st_blocks * 512 < 2 << 20 < facts.st_size
        assert facts.st_ino != raw.stat().st_ino

    def test_a_cancelled_creation_leaves_nothing(
        self, driver: LocalVolume, image_spec: VolumeSpec, tmp_path: Path
    ) -> None:
        handle = driver.start_create(image_spec, 50, "cancel")
        driver.cancel(handle)
        assert follow(driver, handle).state is ProgressState.CANCELLED
        assert driver.list_volumes(PROJECT) == []
        assert list((tmp_path / "volume" / "volumes").iterdir()) == []
        assert list((tmp_path / "volume" / "work").iterdir()) == []

    def test_volumes_are_there_once_all_of_their_creation_are(
        self, driver: LocalVolume, spec: VolumeSpec, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        one, stopped, go = local_task.Creation._one, threading.Event(), threading.Event()

        def stop_at_the_second(
            task: local_task.Creation, work: Work, index: int, image: Any
        ) -> str:
            if index == 1:
                stopped.set()
                assert go.wait(10)
            return one(task, work, index, image)

        monkeypatch.setattr(local_task.Creation, "_one", stop_at_the_second)
        handle = driver.start_create(spec, 2, "two")
        assert stopped.wait(10)
        first = local_task.volume_id(handle, 0)
        assert driver.list_volumes(PROJECT) == []
        with pytest.raises(errors.NotFound):
            driver.connect(first, "server", project_id=PROJECT)
        driver.delete_volume(first, project_id=PROJECT)
        go.set()
        assert set(result_of(driver, handle)) == {
            found.volume_id for found in driver.list_volumes(PROJECT)
        }
        assert driver.connect(first, "server", project_id=PROJECT)["volume_id"] == first

    def test_volumes_stay_when_the_work_that_made_them_is_forgotten(
        self, driver: LocalVolume, spec: VolumeSpec, tmp_path: Path
    ) -> None:
        handle = driver.start_create(spec, 1, "old")
        (volume_id,) = result_of(driver, handle)
        for path in (tmp_path / "volume" / "operations").glob(f"{handle}.*"):
            path.unlink()
        assert driver.get_volume(volume_id, project_id=PROJECT).volume_id == volume_id

    def test_a_snapshot_that_was_begun_is_found_again_though_its_volume_is_gone(
        self, driver: LocalVolume, spec: VolumeSpec
    ) -> None:
        volume_id = self.make_volume(driver, spec)
        handle = driver.start_snapshot(volume_id, "orphan", project_id=PROJECT)
        result_of(driver, handle)
        driver.delete_volume(volume_id, project_id=PROJECT)
        assert driver.start_snapshot(volume_id, "orphan", project_id=PROJECT) == handle
        with pytest.raises(errors.NotFound):
            driver.start_snapshot(volume_id, "other", project_id=PROJECT)

    def test_a_volume_that_a_program_writes_to_is_not_copied(
        self, driver: LocalVolume, spec: VolumeSpec
    ) -> None:
        volume_id = self.make_volume(driver, spec)
        path = driver.connect(volume_id, "server-7", project_id=PROJECT)["path"]
        argv = ["qemu-io", "-f", "raw", path]
        with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as writer:
            assert writer.stdin is not None
            assert writer.stdout is not None
            writer.stdin.write(b"write 0 512\n")
            writer.stdin.flush()
            while b"wrote" not in writer.stdout.readline():
                continue
            ended = follow(driver, driver.start_snapshot(volume_id, "busy", project_id=PROJECT))
            writer.stdin.close()
            writer.stdout.read()
        assert ended.state is ProgressState.FAILED
        assert "server-7" in ended.error
        handle = driver.start_snapshot(volume_id, "free", project_id=PROJECT)
        assert driver.snapshot_size(result_of(driver, handle)) == spec.size_bytes
