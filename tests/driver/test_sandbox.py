"""What a tool may do inside the sandbox, at both levels."""

import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from imagesvc.interface import errors
from imagesvc.interface.converter import Limits
from imagesvc_drivers.client import sandbox, seccomp
from imagesvc_drivers.client.sandbox import Level, Sandbox

CANARY = "canary-5b1d"
SHORT = Limits(cpu_s=20, wall_s=30)
CONNECT = (
    "import socket,sys; s=socket.socket(socket.AF_INET); s.settimeout(5);"
    "s.connect(('127.0.0.1', int(sys.argv[1])))"
)


@pytest.fixture(params=list(Level))
def box(request: pytest.FixtureRequest) -> Sandbox:
    made = Sandbox(request.param)
    assert made.level() is request.param
    return made


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    path = tmp_path / "canary"
    path.write_text(CANARY)
    return path


@pytest.fixture
def port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_the_best_level_is_bubblewrap() -> None:
    assert Sandbox().level() is Level.BUBBLEWRAP


def test_no_sandbox_is_refused_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "_TOOL_PATH", "/nonexistent")
    with pytest.raises(errors.NotSupported) as caught:
        Sandbox().level()
    assert "bubblewrap" in caught.value.operator_message


def test_a_named_file_is_readable_under_its_inner_name(box: Sandbox, canary: Path) -> None:
    result = box.run(["cat", "/in/image"], reads={"image": canary}, limits=SHORT)
    assert result == sandbox.Result(0, CANARY.encode(), b"")


def test_listed_files_are_readable_under_their_own_paths(box: Sandbox, canary: Path) -> None:
    other = canary.with_name("base")
    other.write_text("base")
    result = box.run(["cat", str(canary), str(other)], reads=[canary, other], limits=SHORT)
    assert result.stdout == CANARY.encode() + b"base"


def test_programs_elsewhere_can_be_run_and_what_lies_beside_them_not_read(
    box: Sandbox, canary: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "programs"
    folder.mkdir()
    tool = folder / "tool"
    tool.write_text(f"#!/bin/sh\necho ran; cat {canary}; echo x > {folder}/made\n")
    tool.chmod(0o755)
    result = box.run([str(tool)], programs=[folder], limits=Limits(output_bytes=1 << 20))
    assert result.stdout == b"ran\n"
    assert list(folder.iterdir()) == [tool]


def test_a_socket_can_be_made_in_the_folder_of_outputs(box: Sandbox, tmp_path: Path) -> None:
    code = (
        "import socket,sys; s=socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen();"
        "c=socket.socket(socket.AF_UNIX); c.connect(sys.argv[1]); print('met')"
    )
    argv = ["python3", "-c", code, "/out/socket"]
    result = box.run(argv, writes=tmp_path, listens=True, limits=SHORT)
    assert result.stdout == b"met\n"


@pytest.mark.parametrize("path", ["/etc/passwd", "/proc/1/environ", "/root"])
def test_the_host_is_out_of_reach(box: Sandbox, path: str) -> None:
    result = box.run(["cat", path], limits=SHORT)
    assert result.returncode != 0
    assert result.stdout == b""


def test_a_file_beside_the_named_one_is_out_of_reach(box: Sandbox, canary: Path) -> None:
    named = canary.with_name("named")
    named.write_text("x")
    result = box.run(["cat", str(canary)], reads=[named], limits=SHORT)
    assert result.returncode != 0
    assert CANARY.encode() not in result.stdout + result.stderr


def test_inputs_cannot_be_written(box: Sandbox, canary: Path) -> None:
    limits = Limits(output_bytes=1 << 20)
    result = box.run(["cp", "/usr/bin/true", "/in/image"], reads={"image": canary}, limits=limits)
    assert result.returncode != 0
    assert canary.read_text() == CANARY


def test_there_is_no_network(box: Sandbox, port: int) -> None:
    result = box.run(["python3", "-c", CONNECT, str(port)], limits=SHORT)
    assert result.returncode != 0
    assert b"PermissionError" in result.stderr


def test_unix_sockets_of_the_machine_are_out_of_reach(
    box: Sandbox, tmp_path: Path, canary: Path
) -> None:
    """Also for a tool that reads and writes files: what takes it over finds no way out."""
    path = tmp_path / "monitor"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        argv = ["python3", "-c", "import socket,sys; socket.socket(1).connect(sys.argv[1])"]
        kinds = {"reads": {"image": canary}, "writes": tmp_path}
        for more in ({}, kinds):
            assert box.run([*argv, str(path)], limits=SHORT, **more).returncode != 0
        named = box.run([*argv, "/in/nbd"], reads={"nbd": path}, limits=SHORT)
    assert named.returncode == 0


def test_the_environment_is_empty_of_secrets(box: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGESVC_SECRET", CANARY)
    assert CANARY.encode() not in box.run(["env"], limits=SHORT).stdout


def test_output_goes_to_the_folder_only(box: Sandbox, canary: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    limits = Limits(output_bytes=1 << 20)
    result = box.run(
        ["cp", "/in/image", "/out/copy"], reads={"image": canary}, writes=folder, limits=limits
    )
    assert result.returncode == 0
    assert (folder / "copy").read_text() == CANARY


def test_a_file_cannot_grow_past_its_bound(box: Sandbox, tmp_path: Path) -> None:
    limits = Limits(output_bytes=1000)
    result = box.run(["cp", "/usr/bin/env", "/out/copy"], writes=tmp_path, limits=limits)
    assert result.returncode != 0
    assert (tmp_path / "copy").stat().st_size <= 1000


def test_endless_output_is_cut(box: Sandbox) -> None:
    with pytest.raises(sandbox.EndlessOutput):
        box.run(["yes"], limits=SHORT)


def test_the_clock_ends_a_sleeper_and_its_children(box: Sandbox) -> None:
    argv = ["sh", "-c", "sleep 1000.25 & sleep 1000.25"]
    started = time.monotonic()
    with pytest.raises(errors.Timeout):
        box.run(argv, limits=Limits(wall_s=0.5))
    assert time.monotonic() - started < 20
    deadline = time.monotonic() + 10
    while _running("1000.25"):
        assert time.monotonic() < deadline, "a child outlived the run"


def test_the_cpu_limit_ends_a_spinner(box: Sandbox) -> None:
    with pytest.raises(errors.Timeout, match="too much time"):
        box.run(["sh", "-c", "while :; do :; done"], limits=Limits(cpu_s=1, wall_s=60))


def test_memory_is_bounded(box: Sandbox) -> None:
    argv = ["python3", "-c", "x = bytearray(2 << 30)"]
    assert b"MemoryError" in box.run(argv, limits=SHORT).stderr


def test_a_set_event_ends_the_run(box: Sandbox) -> None:
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(sandbox.Cancelled):
        box.run(["sleep", "1000"], limits=SHORT, cancel=cancel)


def test_output_can_be_followed(box: Sandbox) -> None:
    seen: list[bytes] = []
    result = box.run(["echo", "hello"], limits=SHORT, on_stdout=seen.append)
    assert (b"".join(seen), result.stdout) == (b"hello\n", b"")


def test_a_missing_tool_is_named(box: Sandbox) -> None:
    with pytest.raises(errors.InvalidConfiguration) as caught:
        box.run(["no-such-tool"], limits=SHORT)
    assert "no-such-tool" in caught.value.operator_message


def test_an_unknown_machine_gets_no_wrong_filter() -> None:
    assert seccomp.program("riscv64") == b""
    assert len(seccomp.program("x86_64")) % 8 == 0
    assert len(seccomp.program("x86_64", sockets=False)) == len(seccomp.program("x86_64"))


def _running(word: str) -> bool:
    for process in filter(str.isdigit, os.listdir("/proc")):
        try:
            if word.encode() in Path("/proc", process, "cmdline").read_bytes():
                return True
        except OSError:
            continue  # ended meanwhile
    return False


def test_a_disk_is_written_in_place_and_what_is_beside_it_is_out_of_reach(
    box: Sandbox, canary: Path
) -> None:
    disk, four = canary.with_name("disk"), canary.with_name("four")
    disk.write_bytes(b"abcdefgh")
    four.write_bytes(b"1234")
    limits = Limits(output_bytes=1 << 20)

    def write(target: str) -> int:
        argv = ["dd", "if=/in/four", f"of={target}", "conv=notrunc"]
        return box.run(argv, reads={"four": four}, disks={"node": disk}, limits=limits).returncode

    assert write("/disk/node") == 0
    assert disk.read_bytes() == b"1234efgh"
    assert write(str(canary)) != 0
    assert canary.read_text() == CANARY
