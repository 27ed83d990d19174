"""Disks of this machine as nodes: the laws of the kind on a file and on a block device."""

import dataclasses
import hashlib
import random
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from imagesvc.interface import base, errors
from imagesvc.interface.baremetal import DeploySpec, NodeState
from imagesvc.interface.image_source import ImageSource
from imagesvc.interface.operation import ProgressState
from imagesvc.testing.conformance.baremetal import PROJECT, BaremetalConformance
from imagesvc.testing.conformance.operation import follow, result_of
from imagesvc_drivers.baremetal import local_disk, local_writer
from imagesvc_drivers.baremetal.local import LocalBaremetal
from tests import poll

DISK_BYTES = 4 << 20
NODE_BYTES = 6 << 20


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A disk of 4 MiB that begins and ends with data."""
    path = tmp_path_factory.mktemp("disk") / "disk.raw"
    noise = random.Random(7)
    path.write_bytes(noise.randbytes(3 << 19) + bytes(1 << 20) + noise.randbytes(3 << 19))
    return path


def source_of(path: Path, disk_format: str = "raw") -> ImageSource:
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


class Local(BaremetalConformance):
    """What file and block device share."""

    DEPLOY_CRASH_POINTS = (
        "baremetal.local.deploy_recorded",
        "baremetal.local.head_erased",
        "baremetal.local.piece_written",
        "baremetal.local.deployed",
    )
    UNDEPLOY_CRASH_POINTS = ("baremetal.local.erase_recorded", "baremetal.local.erased")
    SNAPSHOT_CRASH_POINTS = ("baremetal.local.hold_recorded", "baremetal.local.held")

    @pytest.fixture
    def driver(self, tmp_path: Path, disk: Path) -> LocalBaremetal:
        other = tmp_path / "other.raw"
        other.write_bytes(bytes(1 << 20))
        anyone = tmp_path / "anyone.raw"
        anyone.write_bytes(bytes(1 << 20))
        nodes = [f"other:{other}:{PROJECT}", f"node-1:{disk}:{PROJECT}", f"open:{anyone}"]
        return self.make(LocalBaremetal, state_dir=str(tmp_path / "state"), nodes=nodes)

    @pytest.fixture
    def node_id(self) -> str:
        return "node-1"

    @pytest.fixture
    def image_source(self, raw: Path) -> ImageSource:
        return source_of(raw)

    def test_the_first_mib_comes_last_and_only_after_the_rest_was_read_back(
        self, driver: LocalBaremetal, node_id: str, spec: DeploySpec, disk: Path, raw: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:  # fmt: skip
        seen: list[bytes] = []
        settle = local_disk.Disk.settle

        def spoiled(self: local_disk.Disk) -> None:
            settle(self)
            with disk.open("r+b") as stream:
                seen.append(stream.read(local_writer.HEAD_BYTES))
                stream.seek(3 << 20)
                stream.write(b"rot")

        monkeypatch.setattr(local_disk.Disk, "settle", spoiled)
        ended = follow(driver, driver.start_deploy(node_id, spec, "spoiled"))
        assert ended.state is ProgressState.FAILED
        assert "does not give back" in ended.error
        assert seen == [bytes(local_writer.HEAD_BYTES)]
        found = driver.get_node(node_id, project_id=PROJECT)
        assert (found.state, found.project_id) == (NodeState.ERROR, PROJECT)
        monkeypatch.undo()
        result_of(driver, driver.start_deploy(node_id, spec, "spoiled"))
        with disk.open("rb") as stream:
            assert stream.read(DISK_BYTES) == raw.read_bytes()

    def test_a_disk_in_use_is_not_written(
        self, driver: LocalBaremetal, node_id: str, spec: DeploySpec, disk: Path
    ) -> None:
        with local_disk.hold(disk):
            ended = follow(driver, driver.start_deploy(node_id, spec, "held"))
        assert ended.state is ProgressState.FAILED
        assert "in use" in ended.error
        assert driver.get_node(node_id, project_id=PROJECT).state is NodeState.AVAILABLE
        with disk.open("rb") as stream:
            assert not any(stream.read())

    @pytest.mark.parametrize("disk_format", ["qcow2", "vmdk", "vhdx", "vdi"])
    def test_an_image_of_any_format_is_written_as_the_disk_in_it(
        self, driver: LocalBaremetal, node_id: str, raw: Path, tmp_path: Path, disk_format: str
    ) -> None:
        path = tmp_path / f"image.{disk_format}"
        argv = ["qemu-img", "convert", "-f", "raw", "-O", disk_format, str(raw), str(path)]
        subprocess.run(argv, check=True)
        self.deploy(driver, node_id, DeploySpec(PROJECT, source_of(path, disk_format)))
        content = self.content(driver, node_id)
        assert content is not None
        assert content[:DISK_BYTES] == raw.read_bytes()


class TestOnAFile(Local):
    @pytest.fixture
    def disk(self, tmp_path: Path) -> Path:
        path = tmp_path / "node.raw"
        path.write_bytes(bytes(NODE_BYTES))
        return path

    def test_a_file_that_qemu_writes_to_is_neither_written_nor_read(
        self, driver: LocalBaremetal, node_id: str, spec: DeploySpec, disk: Path
    ) -> None:
        self.deploy(driver, node_id, spec)
        argv = ["qemu-io", "-f", "raw", str(disk)]
        with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as writer:
            assert writer.stdin is not None
            assert writer.stdout is not None
            writer.stdin.write(b"read 0 512\n")
            writer.stdin.flush()
            while b"read" not in writer.stdout.readline():
                continue
            for start in (
                lambda: driver.start_deploy(node_id, spec, "qemu"),
                lambda: driver.start_snapshot(node_id, "qemu", project_id=PROJECT),
            ):
                ended = follow(driver, start())
                assert ended.state is ProgressState.FAILED
                assert "in use" in ended.error
            writer.stdin.close()
            writer.stdout.read()

    def test_qemu_cannot_write_to_a_disk_that_is_read(
        self, driver: LocalBaremetal, node_id: str, spec: DeploySpec, disk: Path
    ) -> None:
        self.deploy(driver, node_id, spec)
        argv = ["qemu-io", "-f", "raw", "-c", "write 0 512", str(disk)]
        with driver.open_snapshot(self.snapshot(driver, node_id)):
            done = subprocess.run(argv, capture_output=True, text=True, check=False)
        assert "lock" in done.stdout + done.stderr
        assert subprocess.run(argv, capture_output=True, check=False).returncode == 0

    def test_a_node_that_several_projects_may_use_is_had_by_who_deploys_it(
        self, driver: LocalBaremetal, raw: Path, tmp_path: Path
    ) -> None:
        small = tmp_path / "small.raw"
        small.write_bytes(b"\x55" * 512)
        source = dataclasses.replace(source_of(small), virtual_size_bytes=512)
        assert driver.get_node("open", project_id="a").project_id is None
        with pytest.raises(errors.NotFound, match="does not have"):
            driver.start_snapshot("open", "early", project_id="a")
        result_of(driver, driver.start_deploy("open", DeploySpec("a", source), "a"))
        with pytest.raises(errors.NotFound):
            driver.get_node("open", project_id="b")
        assert [one.node_id for one in driver.list_nodes("b")] == []
        result_of(driver, driver.start_undeploy("open", "free", project_id="a"))
        assert driver.get_node("open", project_id="b").state is NodeState.AVAILABLE

    @pytest.mark.parametrize(
        "item",
        [
            "node",
            "node:",
            "node:relative",
            "Node:/dev/sda",
            "no_de:/dev/sda",
            ":/dev/sda",
            "",
            "node:/dev/sda:",
            "node:/dev/sda:a+",
            "node:/dev/sda:+b",
            "node:/dev/sda:a++b",
            "node:/dev/disk/by-path/pci-0000:00:1f.2-ata-1",
            "node:/dev/sda:a:b",
        ],
    )
    def test_a_node_that_is_not_well_named_is_refused(self, tmp_path: Path, item: str) -> None:
        with pytest.raises(errors.InvalidConfiguration, match="nodes"):
            self.construct(LocalBaremetal, state_dir=str(tmp_path), nodes=[item])

    @pytest.mark.parametrize("way", ["same", "dotted", "link", "hard"])
    def test_one_disk_is_not_two_nodes(self, tmp_path: Path, disk: Path, way: str) -> None:
        twin = {"same": disk, "dotted": tmp_path / ".." / tmp_path.name / disk.name}.get(way)
        if twin is None:
            twin = tmp_path / "twin.raw"
            twin.symlink_to(disk) if way == "link" else twin.hardlink_to(disk)
        options = {"state_dir": str(tmp_path / "state"), "nodes": [f"a:{disk}", f"b:{twin}:p"]}
        driver = self.construct(LocalBaremetal, **options)
        with pytest.raises(errors.InvalidConfiguration, match="a and b"):
            driver.open()

    def test_a_disk_that_comes_as_that_of_two_nodes_is_not_touched(
        self, driver: LocalBaremetal, node_id: str, spec: DeploySpec, disk: Path, tmp_path: Path
    ) -> None:
        other = tmp_path / "other.raw"
        other.unlink()
        other.symlink_to(disk)
        for start in (
            lambda: driver.start_deploy(node_id, spec, "twin"),
            lambda: driver.start_undeploy(node_id, "twin", project_id=PROJECT),
            lambda: driver.start_snapshot(node_id, "twin", project_id=PROJECT),
        ):
            with pytest.raises(errors.InvalidConfiguration, match="node-1 and other"):
                start()
        other.unlink()

    def test_a_disk_that_is_away_is_told_and_not_made(
        self, driver: LocalBaremetal, node_id: str, spec: DeploySpec, disk: Path
    ) -> None:
        kept = disk.rename(disk.with_suffix(".kept"))
        health = driver.health()
        assert (health.state, str(disk) in health.detail) == (base.HealthState.DEGRADED, True)
        assert "not there" in driver.get_node(node_id, project_id=PROJECT).detail
        with pytest.raises(errors.Unavailable):
            driver.start_deploy(node_id, spec, "away")
        assert not disk.exists()
        kept.rename(disk)

    def test_a_file_that_is_at_a_loop_device_is_in_use(
        self, driver: LocalBaremetal, node_id: str, spec: DeploySpec, disk: Path
    ) -> None:
        with loop(disk):
            ended = follow(driver, driver.start_deploy(node_id, spec, "loop"))
        assert ended.state is ProgressState.FAILED
        assert "in use" in ended.error


class TestOnABlockDevice(Local):
    """The same laws on a loop device; without any on this machine each is skipped, and says so."""

    @pytest.fixture
    def disk(self, tmp_path: Path) -> Iterator[Path]:
        path = tmp_path / "backing.raw"
        path.write_bytes(bytes(NODE_BYTES))
        with loop(path) as device:
            yield device

    def test_a_mounted_device_is_not_written(
        self, driver: LocalBaremetal, node_id: str, spec: DeploySpec, disk: Path, tmp_path: Path
    ) -> None:
        subprocess.run(["mke2fs", "-q", "-F", str(disk)], check=True)
        place = tmp_path / "place"
        place.mkdir()
        done = subprocess.run(["mount", str(disk), str(place)], capture_output=True, check=False)
        if done.returncode:
            pytest.skip(f"nothing can be mounted here: {done.stderr.decode().strip()}")
        try:
            (place / "kept").write_text("kept")
            ended = follow(driver, driver.start_deploy(node_id, spec, "mounted"))
            assert ended.state is ProgressState.FAILED
            assert "mounted" in ended.error
            assert (place / "kept").read_text() == "kept"
        finally:
            subprocess.run(["umount", str(place)], check=True)


class loop:
    """A loop device over a file; skips where this machine has none."""

    def __init__(self, path: Path) -> None:
        argv = ["losetup", "--find", "--show", str(path)]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"no loop device can be made here: {done.stderr.strip()}")
        self._device = done.stdout.strip()

    def __enter__(self) -> Path:
        return Path(self._device)

    def __exit__(self, *_: object) -> None:
        subprocess.run(["losetup", "--detach", self._device], check=True)
        # It goes when the last reader has closed it, such as one that looks for partitions.
        backing = Path("/sys/block") / Path(self._device).name / "loop" / "backing_file"
        poll.until(lambda: not backing.exists())
