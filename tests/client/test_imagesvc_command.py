"""Servers, captures, jobs and the trail through the `imagesvc` command, on real guests."""

import json
import time
import uuid

import pytest

from tests.client.conftest import BIN

pytestmark = pytest.mark.slow

BOOT_S = 120.0
TOOL = "tools/make-test-image"


@pytest.fixture(scope="module")
def spark(running_service, tmp_path_factory):
    """The tiny bootable image."""
    path = tmp_path_factory.mktemp("spark") / "spark.raw"
    running_service.run("bash", TOOL, "spark", path)
    return running_service.json(
        "image", "create", "--disk-format", "raw", "--container-format", "bare",
        "--file", path, f"spark-{uuid.uuid4().hex}",
    )["id"]  # fmt: skip


def create(service, image, count=1):
    """Create servers and wait; their ids."""
    name = f"s-{uuid.uuid4().hex}"
    made = service.json(
        "server", "create", name, "--image", image, "--count", str(count), "--wait",
        command="imagesvc",
    )  # fmt: skip
    return [one["ID"] for one in made]


def wait_console(service, server, wanted):
    """The line of the console log that holds `wanted`."""
    deadline = time.monotonic() + BOOT_S
    while time.monotonic() < deadline:
        log = service.imagesvc("server", "console", "log", server)
        for line in log.splitlines():
            if wanted in line:
                return line
    pytest.fail(f"{wanted} did not come: {log}")


def test_a_marker_goes_from_server_to_image_to_server(running_service, spark):
    first, second = create(running_service, spark, 2)
    wait_console(running_service, first, "IMAGESVC-BOOT")
    running_service.imagesvc("server", "console", "write", first, "Whello")
    wait_console(running_service, first, "OK")
    name = f"captured-{uuid.uuid4().hex}"
    made = running_service.json(
        "server", "capture", first, "--name", name, "--tag", "one", "--description", "of a test",
        "--wait", command="imagesvc",
    )  # fmt: skip
    image = running_service.json("image", "show", made["image_id"])
    assert (image["status"], image["visibility"], image["tags"]) == ("active", "private", ["one"])
    third = create(running_service, made["image_id"])[0]
    assert "marker=hello" in wait_console(running_service, third, "IMAGESVC-BOOT")
    running_service.imagesvc("server", "delete", first, second, third)
    listed = running_service.json("server", "list", command="imagesvc")
    assert not {first, second, third} & {one["ID"] for one in listed}


def test_a_server_is_stopped_started_and_hidden_from_others(running_service, spark):
    server = create(running_service, spark)[0]
    running_service.imagesvc("server", "stop", server)
    shown = running_service.json("server", "show", server, command="imagesvc")
    assert shown["state"] == "stopped"
    running_service.imagesvc("server", "start", server)
    shown = running_service.json("server", "show", server, command="imagesvc")
    assert shown["state"] == "running"
    hidden = running_service.run(
        "imagesvc", "--os-cloud", "other", "server", "delete", server, check=False
    )
    assert hidden.returncode == 1
    assert f"No server {server} was found." in hidden.stderr.decode()
    running_service.imagesvc("server", "delete", server)


def test_progress_goes_to_stderr_and_a_job_can_be_watched(running_service, spark):
    name = f"s-{uuid.uuid4().hex}"
    job = running_service.json("server", "create", name, "--image", spark, command="imagesvc")[0][
        "Job"
    ]
    done = running_service.run("imagesvc", "--os-cloud", "demo", "job", "wait", job, "-f", "json")
    assert b"create-servers done, 100 %" in done.stderr
    shown = json.loads(done.stdout)
    assert shown["state"] == "done"
    listed = running_service.json("job", "list", "--state", "done", command="imagesvc")
    assert job in [one["ID"] for one in listed]
    running_service.imagesvc("server", "delete", shown["result"]["servers"][0]["server_id"])


def test_the_trail_backends_and_health_are_shown(running_service, spark):
    events = running_service.json("audit", "list", "--target", spark, command="imagesvc")
    assert "image:create" in [one["Action"] for one in events]
    asked = ("--image", spark, "--outcome", "success", "--action", "image:create")
    span = ("--since", "2001-01-01", "--until", "2999-01-01")
    found = running_service.json("audit", "list", *asked, *span, command="imagesvc")
    assert [one["Action"] for one in found] == ["image:create"]
    backends = running_service.json("backend", "list", command="imagesvc", cloud="admin")
    assert ("compute", "qemu") in [(one["Kind"], one["Driver"]) for one in backends]
    health = running_service.json("health", "show", command="imagesvc", cloud="admin")
    assert {one["State"] for one in health} == {"ok"}


def test_the_systems_and_families_of_the_catalog_are_shown(running_service):
    systems = running_service.json("os-version", "list", command="imagesvc")
    found = [(one["Version"], one["Architectures"]) for one in systems]
    assert ("Debian 13 64bit", "aarch64, x86_64") in found
    args = ("catalog", "list")
    assert running_service.json(*args, command="imagesvc", cloud="admin") == []
    listed = running_service.json(*args, "--all", command="imagesvc", cloud="admin")
    off = {one["Family"]: one["Off"] for one in listed}
    assert off["debian-13-x86_64"] == "it is not named in [catalog] families."


def test_an_image_shows_its_copies_and_a_warning_at_one(running_service, spark):
    done = running_service.run(
        "imagesvc", "--os-cloud", "demo", "image", "show", spark, "-f", "json"
    )
    shown = json.loads(done.stdout)
    assert (shown["good_copies"], shown["stores"], shown["damaged"]) == (1, ["local"], False)
    assert [copy["good"] for copy in shown["disks"][0]["copies"]] == [True]
    assert (shown["found"]["os_name"], shown["found"]["firmware"]) == ("Spark 1", ["bios"])
    assert b"warning: There is one good copy" in done.stderr


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("--os-cloud", "nobody", "job", "list"), "has no cloud nobody"),
        (("--os-cloud", "demo", "health", "show"), "not allowed to do health:get"),
        (("--os-cloud", "demo", "job", "show", "x"), "No job x was found."),
        (("--os-cloud", "demo", "server", "create", "--image", "none", "x"), "No image none"),
    ],
)
def test_a_failure_is_one_line_and_code_1(running_service, args, words):
    done = running_service.run("imagesvc", *args, check=False)
    assert done.returncode == 1
    assert words in done.stderr.decode()
    assert len(done.stderr.decode().strip().splitlines()) == 1


def test_operators_see_that_all_is_well(running_service):
    conf = running_service.folder / "imagesvc.conf"
    for command in (
        ("imagesvc-manage", "--config-file", conf, "db", "version"),
        ("imagesvc-manage", "--config-file", conf, "config", "check"),
        ("imagesvc-manage", "--config-file", conf, "backend", "list"),
        ("imagesvc-manage", "--config-file", conf, "backend", "check", "storage"),
        ("imagesvc-manage", "--config-file", conf, "audit", "verify"),
        ("imagesvc-manage", "--config-file", conf, "quota", "verify"),
        ("imagesvc-status", "--config-file", conf, "upgrade", "check"),
    ):
        running_service.run(*command)
    second = running_service.run("imagesvc-supervisor", "--config-file", conf, check=False)
    assert second.returncode == 2
    assert b"A supervisor runs already" in second.stderr


def test_commands_without_configuration_say_so_in_one_line(running_service):
    for command in ("imagesvc-api", "imagesvc-worker", "imagesvc-supervisor"):
        assert (BIN / command).exists()
        done = running_service.run(command, "--config-file", "/nonexistent", check=False)
        assert done.returncode == 2
        assert len(done.stderr.decode().strip().splitlines()) == 1


def test_the_list_of_images_is_a_file(running_service, raw_image, tmp_path):
    name = f"csv-{uuid.uuid4().hex}"
    made = running_service.json(
        "image", "create", "--disk-format", "raw", "--file", raw_image, "--tag", name, name
    )
    out = tmp_path / "images.csv"
    running_service.imagesvc("image", "csv", "--tag", name, "--language", "zh", "--file", out)
    heading, row = out.read_text("utf-8-sig").splitlines()
    assert heading.startswith('"名称","ID",')
    assert row.startswith(f'"{name}","{made["id"]}","active",')
    assert name in running_service.imagesvc("image", "csv", "--name", name)


@pytest.mark.parametrize(
    ("name", "more", "said"),
    [
        ("none/images.csv", (), "cannot be written: No such file"),
        ("folder", (), "cannot be written: Is a directory"),
        ("images.csv", ("--status", "bad"), "status"),
    ],
)
def test_a_list_that_cannot_be_written_leaves_no_part_of_it(
    running_service, tmp_path, name, more, said
):
    (tmp_path / "folder").mkdir()
    command = ("imagesvc", "--os-cloud", "demo", "image", "csv", "--file", tmp_path / name, *more)
    done = running_service.run(*command, check=False)
    assert (done.returncode, done.stderr.decode().count("\n")) == (1, 1)
    assert said in done.stderr.decode()
    assert [one.name for one in tmp_path.iterdir()] == ["folder"]
