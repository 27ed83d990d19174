"""Volumes as files: the laws of the kind, and what is odd about this driver."""

import dataclasses
import hashlib
import random
import subprocess
import uuid
from pathlib import Path

import pytest

from imagesvc.interface import errors
from imagesvc.interface.image_source import ImageSource
from imagesvc.interface.operation import ProgressState
from imagesvc.interface.volume import VolumeSpec
from imagesvc.testing.conformance.operation import follow, result_of
from imagesvc.testing.conformance.volume import PROJECT, VolumeConformance
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
