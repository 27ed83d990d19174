"""The QEMU driver against real QEMU: the laws of its kind, and what is odd about it."""

import dataclasses
import hashlib
import http.server
import os
import signal
import subprocess
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from imagesvc.interface import errors
from imagesvc.interface.compute import ServerSpec, ServerState
from imagesvc.interface.image_source import ImageSource
from imagesvc.interface.operation import ProgressState
from imagesvc.testing.conformance.compute import PROJECT, ComputeConformance
from imagesvc.testing.conformance.operation import follow, result_of
from imagesvc_drivers.compute.qemu import QemuCompute, process
from imagesvc_drivers.compute.qemu.server_folder import ServerFolder

TOOL = Path(__file__).parents[2] / "tools" / "make-test-image"
STATE_OFFSET = 1024
MARKER_OFFSET = STATE_OFFSET + 16


@pytest.fixture(scope="module")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The spark guest as raw; its qcow2 is beside it."""
    path = tmp_path_factory.mktemp("spark") / "spark.raw"
    subprocess.run([TOOL, "spark", path], check=True)
    return path


def source_of(
    path: Path, *, url: str = "http://127.0.0.1:9/none", local: bool = True
) -> ImageSource:
    """The image as the service would hand it over."""
    return ImageSource(
        image_id=str(uuid.uuid4()),
        disk=0,
        disk_format="qcow2" if path.suffix == ".qcow2" else "raw",
        size_bytes=path.stat().st_size,
        virtual_size_bytes=8 << 20,
        digest=hashlib.sha512(path.read_bytes()).hexdigest(),
        url=url,
        local_path=path if local else None,
    )


class TestQemuCompute(ComputeConformance):
    """Servers from a qcow2 image."""

    CREATE_CRASH_POINTS = (
        "compute.qemu.fetched",
        "compute.qemu.create_recorded",
        "compute.qemu.server_recorded",
        "compute.qemu.server_built",
        "compute.qemu.spawned",
        "compute.qemu.continued",
        "compute.qemu.server_started",
    )
    SNAPSHOT_CRASH_POINTS = (
        "compute.qemu.snapshot_recorded",
        "compute.qemu.snapshot_started",
        "compute.qemu.snapshot_copied",
        "compute.qemu.snapshot_sealed",
    )

    @pytest.fixture
    def state(self, tmp_path: Path) -> Iterator[Path]:
        path = tmp_path / "state"
        yield path
        for folder in (path / "servers").iterdir():
            process.end(ServerFolder(folder), quit_s=2)

    @pytest.fixture
    def driver(self, state: Path, tmp_path_factory: pytest.TempPathFactory) -> QemuCompute:
        sockets = tmp_path_factory.mktemp("r", numbered=True)
        return self.make(QemuCompute, state_dir=str(state), runtime_dir=str(sockets))

    @pytest.fixture
    def image_source(self, spark: Path) -> ImageSource:
        return source_of(spark.with_suffix(".qcow2"))

    @pytest.fixture
    def connection(self, tmp_path: Path) -> dict[str, str]:
        path = tmp_path / "volume.raw"
        path.write_bytes(bytes(1 << 20))
        return {"volume_id": "v" * 36, "protocol": "file", "path": str(path), "format": "raw"}

    def type(self, driver: QemuCompute, server_id: str, line: bytes, answer: bytes) -> None:
        """Type a line and wait for the guest's answer."""
        offset = len(driver.read_console(server_id, project_id=PROJECT))
        driver.write_console(server_id, line, project_id=PROJECT)
        self.console(driver, server_id, text=answer, offset=offset)

    def captured(self, driver: QemuCompute, server_id: str, target: Path) -> ImageSource:
        """Snapshot a server into an image."""
        with driver.open_snapshot(self.snapshot(driver, server_id)) as stream:
            target.write_bytes(stream.read())
        return source_of(target)

    @pytest.mark.parametrize("stopped", [False, True])
    def test_a_marker_travels_by_capture_to_a_new_server(
        self, driver: QemuCompute, spec: ServerSpec, tmp_path: Path, stopped: bool
    ) -> None:
        made = result_of(driver, driver.start_create(spec, 3, "three"))
        first, second = made[0]["server_id"], made[1]["server_id"]
        self.console(driver, first)
        self.console(driver, second)
        self.type(driver, first, b"Whello\n", b"OK")
        if stopped:
            driver.stop_server(first, project_id=PROJECT)
        image = self.captured(driver, first, tmp_path / "captured.raw")
        clone = self.server(driver, dataclasses.replace(spec, disks=(image,)))
        self.console(driver, clone, text=b"boots=00002 marker=hello")
        self.type(driver, second, b"R\n", b"marker=(empty)")

    def test_both_disks_show_the_same_instant(self, driver: QemuCompute, spec: ServerSpec) -> None:
        two = dataclasses.replace(spec, disks=spec.disks * 2)
        server_id = self.server(driver, two)
        self.type(driver, server_id, b"L\n", b"..")
        made = result_of(driver, driver.start_group_snapshot(server_id, "g", project_id=PROJECT))
        counters = []
        for disk_id in ("disk0", "disk1"):
            with driver.open_snapshot(made[disk_id], offset=STATE_OFFSET + 4) as stream:
                counters.append(int.from_bytes(stream.read(4), "little"))
        assert counters[0] - counters[1] in (0, 1)
        assert counters[0] > 256

    def test_the_guest_writes_on_while_it_is_copied(
        self, driver: QemuCompute, spec: ServerSpec
    ) -> None:
        server_id = self.server(driver, spec)
        handle = driver.start_snapshot(server_id, "disk0", "early", project_id=PROJECT)
        self.type(driver, server_id, b"Wlate\n", b"OK")
        with driver.open_snapshot(result_of(driver, handle), offset=MARKER_OFFSET) as stream:
            assert stream.read(7) == b"(empty)"

    def test_a_killed_server_is_stopped_and_starts_again(
        self, driver: QemuCompute, spec: ServerSpec, state: Path
    ) -> None:
        server_id = self.server(driver, spec)
        pid = process.find(ServerFolder(state / "servers" / server_id))
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        deadline = time.monotonic() + 10
        while driver.get_server(server_id, project_id=PROJECT).state is ServerState.RUNNING:
            assert time.monotonic() < deadline
        driver.start_server(server_id, project_id=PROJECT)
        assert driver.get_server(server_id, project_id=PROJECT).state is ServerState.RUNNING

    def test_a_copy_that_lost_its_server_process_begins_again(
        self, driver: QemuCompute, spec: ServerSpec
    ) -> None:
        server_id = self.server(driver, spec)
        handle = driver.start_snapshot(server_id, "disk0", "lost", project_id=PROJECT)
        driver.stop_server(server_id, project_id=PROJECT)
        assert driver.snapshot_size(result_of(driver, handle)) == 8 << 20

    def test_the_server_process_is_no_child_and_is_locked_in(
        self, driver: QemuCompute, spec: ServerSpec, state: Path
    ) -> None:
        server_id = self.server(driver, spec)
        pid = process.find(ServerFolder(state / "servers" / server_id))
        status = Path(f"/proc/{pid}/status").read_text()
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        assert f"PPid:\t{os.getpid()}\n" not in status
        assert "Seccomp:\t2" in status
        assert {b"-nodefaults", b"-no-user-config", b"-S"} <= set(words)

    def test_deleting_the_image_file_does_not_touch_servers(
        self, driver: QemuCompute, spec: ServerSpec, spark: Path, tmp_path: Path
    ) -> None:
        copy = tmp_path / "store.raw"
        copy.write_bytes(spark.read_bytes())
        server_id = self.server(driver, dataclasses.replace(spec, disks=(source_of(copy),)))
        copy.unlink()
        driver.stop_server(server_id, project_id=PROJECT)
        driver.start_server(server_id, project_id=PROJECT)
        self.console(driver, server_id, text=b"boots=00002")

    def test_bytes_come_by_url_and_go_on_after_a_drop(
        self, driver: QemuCompute, spec: ServerSpec, spark: Path
    ) -> None:
        with FlakyServer(spark.read_bytes()) as flaky:
            image = source_of(spark, url=flaky.url, local=False)
            self.server(driver, dataclasses.replace(spec, disks=(image,)))
        assert flaky.ranges[0] == "bytes=0-"
        assert len(flaky.ranges) == 2
        assert flaky.ranges[1] != "bytes=0-"

    @pytest.mark.parametrize("lost", [False, True])
    def test_a_local_file_that_is_not_good_is_passed_over_for_the_url(
        self, driver: QemuCompute, spec: ServerSpec, spark: Path, tmp_path: Path, lost: bool
    ) -> None:
        local = tmp_path / "store.raw"
        if not lost:
            local.write_bytes(spark.read_bytes()[:-1] + b"\xff")
        with FlakyServer(spark.read_bytes()) as flaky:
            image = dataclasses.replace(source_of(spark, url=flaky.url), local_path=local)
            self.server(driver, dataclasses.replace(spec, disks=(image,)))
        assert flaky.ranges[0] == "bytes=0-"

    def test_an_iso_is_refused_as_a_disk(self, driver: QemuCompute, spec: ServerSpec) -> None:
        disc = dataclasses.replace(spec.disks[0], disk_format="iso")
        with pytest.raises(errors.InvalidArgument, match="iso"):
            driver.start_create(dataclasses.replace(spec, disks=(disc,)), 1, "iso")

    def test_an_image_that_names_another_file_is_refused(
        self, driver: QemuCompute, spec: ServerSpec, tmp_path: Path
    ) -> None:
        hostile = tmp_path / "hostile.qcow2"
        argv = ["qemu-img", "create", "-q", "-u", "-f", "qcow2", "-b", "/etc/passwd", "-F", "raw"]
        subprocess.run([*argv, str(hostile), "8M"], check=True)
        image = dataclasses.replace(spec, disks=(source_of(hostile),))
        ended = follow(driver, driver.start_create(image, 1, "hostile"))
        assert ended.state is ProgressState.FAILED
        assert "another file" in ended.error

    def test_a_larger_disk_can_be_asked_for(self, driver: QemuCompute, spec: ServerSpec) -> None:
        server_id = self.server(driver, dataclasses.replace(spec, disk_bytes=(20 << 20) + 1))
        disk = driver.get_server(server_id, project_id=PROJECT).disks[0]
        assert disk.size_bytes == (20 << 20) + 512

    def test_a_cancelled_creation_leaves_no_server(
        self, driver: QemuCompute, spec: ServerSpec
    ) -> None:
        handle = driver.start_create(spec, 20, "cancel")
        driver.cancel(handle)
        assert follow(driver, handle).state is ProgressState.CANCELLED
        assert driver.list_servers(PROJECT) == []


class FlakyServer:
    """Serves bytes by range; its first answer breaks off in the middle."""

    def __init__(self, body: bytes) -> None:
        self.ranges: list[str] = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.ranges.append(self.headers["Range"])
                begin = int(self.headers["Range"][len("bytes=") :].rstrip("-"))
                rest = body[begin:]
                self.send_response(206)
                self.send_header("Content-Length", str(len(rest)))
                self.end_headers()
                self.wfile.write(rest if len(outer.ranges) > 1 else rest[: len(rest) // 2])
                self.close_connection = True

            def log_message(self, *_: Any) -> None:
                return

        self._server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self.url = f"http://127.0.0.1:{self._server.server_port}/bytes"

    def __enter__(self) -> "FlakyServer":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
