"""Servers with several disks through the `imagesvc` command, on real guests."""

import uuid

import pytest

from tests import disk_image, ova
from tests.client.test_imagesvc_command import TOOL, create, spark, wait_console
from tests.client.test_volume_command import MARKER_OFFSET
from tests.ova import Part

__all__ = ["spark"]

pytestmark = pytest.mark.slow

COUNTER = slice(1028, 1032)


def imagesvc(service, *args):
    """The command's answer as JSON."""
    return service.json(*args, command="imagesvc")


def write(service, server, line):
    """Type a line, and wait until the guest has answered it."""
    before = service.imagesvc("server", "console", "log", server).count("OK")
    service.imagesvc("server", "console", "write", server, line)
    while service.imagesvc("server", "console", "log", server).count("OK") == before:
        continue


def with_data(service, image, count=1):
    """Servers with a data disk from the same image; their ids."""
    made = imagesvc(
        service, "server", "create", f"s-{uuid.uuid4().hex}", "--image", image,
        "--data-disk", f"image={image}", "--count", str(count), "--wait",
    )  # fmt: skip
    ids = [one["ID"] for one in made]
    for server in ids:
        wait_console(service, server, "IMAGESVC-BOOT")
    return ids


def capture(service, server, *args):
    """Capture and wait; what the command tells."""
    name = f"captured-{uuid.uuid4().hex}"
    return imagesvc(service, "server", "capture", server, "--name", name, *args, "--wait")


def download(service, image, disk, path):
    """The bytes of one disk of an image."""
    url = f"http://127.0.0.1:{service.port}/imagesvc/v1/images/{image}/disk/{disk}/file"
    token = service.openstack("token", "issue", "-f", "value", "-c", "id").strip()
    service.run("curl", "-sf", "-H", f"X-Auth-Token: {token}", "-o", path, url)
    return path.read_bytes()


@pytest.mark.peer
def test_a_whole_server_under_writes_is_captured_and_comes_back(running_service, spark, tmp_path):
    (server,) = with_data(running_service, spark)
    write(running_service, server, "Wfirst")
    write(running_service, server, "Dsecond")
    running_service.imagesvc("server", "console", "write", server, "L")
    wait_console(running_service, server, "..")
    made = capture(running_service, server, "--whole")
    shown = imagesvc(running_service, "image", "show", made["image_id"])
    assert [disk["role"] for disk in shown["disks"]] == ["system", "data"]
    disks = [download(running_service, made["image_id"], n, tmp_path / "disk") for n in (0, 1)]
    counters = [int.from_bytes(disk[COUNTER], "little") for disk in disks]
    assert counters[0] - counters[1] in (0, 1)
    assert counters[0] >= 256
    again = create(running_service, made["image_id"], 2)
    for each in again:
        line = wait_console(running_service, each, "IMAGESVC-BOOT")
        assert "marker=first disk2=second" in line
        found = imagesvc(running_service, "server", "show", each)["disks"]
        assert [(disk["serial"], disk["boot"]) for disk in found] == [
            ("disk0", True),
            ("disk1", False),
        ]
    running_service.imagesvc("server", "delete", server, *again)


@pytest.mark.peer
def test_an_ova_of_two_disks_boots_with_both(running_service, tmp_path):
    raws = [tmp_path / f"{mark}.raw" for mark in ("first", "second")]
    files = {}
    for raw in raws:
        running_service.run("bash", TOOL, "spark", raw)
        with raw.open("r+b") as disk:
            disk.seek(MARKER_OFFSET)
            disk.write(raw.stem.encode() + b"\0")
        files[f"{raw.stem}.vmdk"] = disk_image.convert(raw, "vmdk-stream")
    text = ova.machine(Part("second.vmdk", 1), Part("first.vmdk", 0))
    (tmp_path / "machine.ova").write_bytes(ova.packed(text, files))
    made = imagesvc(
        running_service, "image", "upload", tmp_path / "machine.ova", "--source-format", "ova",
        "--disk-format", "qcow2", "--wait",
    )["image_id"]  # fmt: skip
    assert imagesvc(running_service, "image", "show", made)["kind"] == "whole-machine"
    for disk, raw in enumerate(raws):
        download(running_service, made, disk, tmp_path / "made")
        assert disk_image.same(raw, tmp_path / "made", "qcow2") is True
    servers = create(running_service, made, 2)
    for server in servers:
        line = wait_console(running_service, server, "IMAGESVC-BOOT")
        assert "marker=first disk2=second" in line
    running_service.imagesvc("server", "delete", *servers)


def test_a_data_disk_becomes_an_image_and_a_data_disk_again(running_service, spark):
    (server,) = with_data(running_service, spark)
    write(running_service, server, "Dtravels")
    data = capture(running_service, server, "--disk", "disk1")["image_id"]
    made = imagesvc(
        running_service, "server", "create", f"s-{uuid.uuid4().hex}", "--image", spark,
        "--data-disk", f"image={data}", "--data-disk", "size=1", "--wait",
    )[0]["ID"]  # fmt: skip
    assert "marker=(empty) disk2=travels" in wait_console(running_service, made, "IMAGESVC-BOOT")
    found = imagesvc(running_service, "server", "show", made)["disks"]
    assert [disk["size_bytes"] >> 20 for disk in found] == [8, 8, 1024]
    running_service.imagesvc("server", "delete", server, made)


def test_several_disks_become_an_image_each(running_service, spark):
    (server,) = with_data(running_service, spark)
    made = capture(running_service, server, "--disk", "disk1", "--disk", "disk0")
    assert len(made["image_ids"]) == 2
    kinds = [running_service.json("image", "show", image)["status"] for image in made["image_ids"]]
    assert kinds == ["active", "active"]
    running_service.imagesvc("server", "delete", server)


def test_three_servers_are_rebuilt_and_keep_their_data_disks(running_service, spark):
    servers = with_data(running_service, spark, 3)
    for number, server in enumerate(servers):
        write(running_service, server, f"Ddata-{number}")
    write(running_service, servers[0], "Wnewer")
    newer = capture(running_service, servers[0])["image_id"]
    told = imagesvc(running_service, "server", "rebuild", *servers, "--image", newer, "--wait")
    assert told == [{"ID": server, "Error": ""} for server in servers]
    for number, server in enumerate(servers):
        wait_console(running_service, server, f"marker=newer disk2=data-{number}")
        shown = imagesvc(running_service, "server", "show", server)
        assert (shown["image_id"], shown["state"]) == (newer, "running")
    running_service.imagesvc("server", "delete", *servers)


@pytest.mark.parametrize("text", ["size=", "size=x", "image=", "1", "disk=1"])
def test_a_data_disk_is_of_a_size_or_of_an_image(running_service, text):
    done = running_service.run(
        "imagesvc", "--os-cloud", "demo", "server", "create", "x", "--image", "x",
        "--data-disk", text, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert b"is neither size=GIB nor image=IMAGE" in done.stderr
