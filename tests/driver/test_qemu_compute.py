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
from imagesvc.interface.compute import Consistency, EmptyDisk, ServerSpec, ServerState
from imagesvc.interface.image_source import ImageSource
from imagesvc.interface.operation import ProgressState
from imagesvc.testing.conformance.compute import PROJECT, ComputeConformance
from imagesvc.testing.conformance.operation import follow, result_of
from imagesvc_drivers.compute.qemu import QemuCompute, monitor, process
from imagesvc_drivers.compute.qemu.server_folder import ServerFolder

TOOL = Path(__file__).parents[2] / "tools" / "make-test-image"
STATE_OFFSET = 1024
MARKER_OFFSET = STATE_OFFSET + 16
LARGE_BYTES = 64 << 20


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
    REBUILD_CRASH_POINTS = (
        "compute.qemu.rebuild_recorded",
        "compute.qemu.rebuild_noted",
        "compute.qemu.rebuild_stopped",
        "compute.qemu.rebuild_made",
        "compute.qemu.rebuild_changed",
        "compute.qemu.rebuild_settled",
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
        return self.make(
            QemuCompute,
            state_dir=str(state),
            runtime_dir=str(sockets),
            agent_timeout_s=0.5,
            accelerator="tcg",
        )

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

    def test_data_disks_that_are_copied_together_show_the_same_instant_and_no_other_is_copied(
        self, driver: QemuCompute, spec: ServerSpec, state: Path
    ) -> None:
        server_id = self.server(driver, dataclasses.replace(spec, disks=spec.disks * 3))
        self.type(driver, server_id, b"Dkept\n", b"OK")
        handle = driver.start_disks_snapshot(
            server_id, ["disk2", "disk1"], "two", project_id=PROJECT
        )
        made = result_of(driver, handle)
        assert set(made) == {"disk1", "disk2"}
        assert {path.name for path in (state / "snapshots").iterdir()} == set(made.values())
        with driver.open_snapshot(made["disk1"], offset=MARKER_OFFSET) as stream:
            assert stream.read(4) == b"kept"

    def test_the_guest_has_the_disks_with_their_serial_numbers(
        self, driver: QemuCompute, spec: ServerSpec, state: Path
    ) -> None:
        wanted = dataclasses.replace(
            spec, disks=spec.disks * 2, empty_disks=(EmptyDisk(1, 1 << 30),)
        )
        server_id = self.server(driver, wanted)
        self.type(driver, server_id, b"Dmark\n", b"OK")
        self.type(driver, server_id, b"R\n", b"disk2=mark")
        disks = driver.get_server(server_id, project_id=PROJECT).disks
        assert [(disk.serial, disk.size_bytes >> 20) for disk in disks] == [
            ("disk0", 8),
            ("disk1", 1024),
            ("disk2", 8),
        ]
        known = ServerFolder(state / "servers" / server_id).process()
        assert known is not None
        for disk in disks:
            path = f"/machine/peripheral/v-{disk.disk_id}/virtio-backend"
            found = monitor.command(Path(known["monitor"]), "qom-get", path=path, property="serial")
            assert found == disk.serial

    @pytest.mark.parametrize(
        "places",
        [
            (EmptyDisk(0, 512),),
            (EmptyDisk(2, 512),),
            (EmptyDisk(1, 0),),
            (EmptyDisk(2, 512), EmptyDisk(1, 512)),
        ],
    )
    def test_an_empty_disk_that_cannot_be_there_is_refused(
        self, driver: QemuCompute, spec: ServerSpec, places: tuple[EmptyDisk, ...]
    ) -> None:
        with pytest.raises(errors.InvalidArgument):
            driver.start_create(dataclasses.replace(spec, empty_disks=places), 1, "places")

    def test_three_rebuilt_servers_boot_the_new_image_and_keep_their_data(
        self, driver: QemuCompute, spec: ServerSpec, state: Path, tmp_path: Path
    ) -> None:
        model = self.server(driver, spec)
        self.type(driver, model, b"Wnewer\n", b"OK")
        image = self.captured(driver, model, tmp_path / "newer.raw")
        two = dataclasses.replace(spec, disks=spec.disks * 2)
        made = result_of(driver, driver.start_create(two, 3, "three"))
        ids = [each["server_id"] for each in made]
        for number, server_id in enumerate(ids):
            self.console(driver, server_id)
            self.type(driver, server_id, b"Ddata-%d\n" % number, b"OK")
        handles = [driver.start_rebuild(each, image, each, project_id=PROJECT) for each in ids]
        for number, (server_id, handle) in enumerate(zip(ids, handles, strict=True)):
            assert result_of(driver, handle) == server_id
            self.console(driver, server_id, text=b"marker=newer disk2=data-%d" % number)
            folder = state / "servers" / server_id
            assert len(list(folder.glob("*.qcow2"))) == 2

    def test_a_rebuilt_server_is_copied_started_and_rebuilt_again(
        self, driver: QemuCompute, spec: ServerSpec
    ) -> None:
        server_id = self.server(driver, spec)
        for token in ("one", "two"):
            self.type(driver, server_id, b"Wold\n", b"OK")
            offset = len(driver.read_console(server_id, project_id=PROJECT))
            handle = driver.start_rebuild(server_id, spec.disks[0], token, project_id=PROJECT)
            assert result_of(driver, handle) == server_id
            self.console(driver, server_id, text=b"boots=00001 marker=(empty)", offset=offset)
        driver.stop_server(server_id, project_id=PROJECT)
        assert driver.snapshot_size(self.snapshot(driver, server_id)) == 8 << 20
        driver.start_server(server_id, project_id=PROJECT)
        self.console(driver, server_id, text=b"boots=00002", offset=offset)

    def test_a_server_that_is_being_copied_is_not_rebuilt(
        self, driver: QemuCompute, spec: ServerSpec
    ) -> None:
        server_id = self.server(driver, spec)
        copying = driver.start_snapshot(server_id, "disk0", "copy", project_id=PROJECT)
        handle = driver.start_rebuild(server_id, spec.disks[0], "busy", project_id=PROJECT)
        ended = follow(driver, handle)
        assert (ended.state, ended.error) == (
            ProgressState.FAILED,
            "The server's disks are being copied.",
        )
        assert driver.get_server(server_id, project_id=PROJECT).state is ServerState.RUNNING
        result_of(driver, copying)

    def test_a_guest_without_an_agent_is_copied_as_it_is_and_that_is_told(
        self, driver: QemuCompute, spec: ServerSpec
    ) -> None:
        server_id = self.server(driver, spec)
        handle = driver.start_group_snapshot(server_id, "q", project_id=PROJECT, quiesce=True)
        (snapshot_id,) = result_of(driver, handle).values()
        assert driver.snapshot_consistency(snapshot_id) is Consistency.CRASH
        self.type(driver, server_id, b"Wgoes-on\n", b"OK")

    def test_the_guest_writes_on_while_it_is_copied(
        self, driver: QemuCompute, spec: ServerSpec
    ) -> None:
        server_id = self.server(driver, spec)
        handle = driver.start_snapshot(server_id, "disk0", "early", project_id=PROJECT)
        self.type(driver, server_id, b"Wlate\n", b"OK")
        with driver.open_snapshot(result_of(driver, handle), offset=MARKER_OFFSET) as stream:
            assert stream.read(7) == b"(empty)"

    def test_only_what_the_server_wrote_is_copied_before_the_one_copy_that_is_read(
        self,
        driver: QemuCompute,
        spec: ServerSpec,
        state: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        large = tmp_path / "large.raw"
        large.write_bytes(b"x" * LARGE_BYTES)
        data = dataclasses.replace(source_of(large), virtual_size_bytes=LARGE_BYTES)
        server_id = self.server(driver, dataclasses.replace(spec, disks=(*spec.disks, data)))
        self.type(driver, server_id, b"Dover-it\n", b"OK")
        with monkeypatch.context() as held:
            held.setattr(driver._crew, "put", lambda *_: None)
            handle = driver.start_snapshot(server_id, "disk1", "delta", project_id=PROJECT)
            deadline = time.monotonic() + 20
            while driver._book.read(handle)["phase"] != "flattening":
                assert time.monotonic() < deadline
                driver.poll(handle)
            (target,) = (state / "snapshots").glob("*/disk.qcow2")
            assert target.stat().st_blocks * 512 < 1 << 20
        with driver.open_snapshot(result_of(driver, handle)) as stream:
            whole = stream.read()
        assert whole[MARKER_OFFSET : MARKER_OFFSET + 8] == b"over-it\0"
        assert whole[4096:] == large.read_bytes()[4096:]

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
