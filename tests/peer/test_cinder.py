"""Cinder makes volumes from images of here, and uploads volumes as images to here."""

import hashlib
import subprocess

import pytest

from tests import poll

pytestmark = [pytest.mark.peer, pytest.mark.xdist_group("neighbours"), pytest.mark.timeout(900)]

WAIT_S = 120.0


def wait(cloud, noun, name, status):
    """Until a volume or an image has a status."""
    bad = ("error", "error_extending", "killed")

    def reached():
        found = cloud.json(noun, "show", name)["status"]
        assert found not in bad or found == status
        return found == status

    poll.until(reached, WAIT_S)


def contents(volumes, volume, folder):
    """What a guest would read from a volume."""
    raw = folder / "raw"
    subprocess.run(
        ["qemu-img", "convert", "-O", "raw", volumes / f"volume-{volume}", raw],
        check=True, timeout=120,
    )  # fmt: skip
    return raw.read_bytes()


def test_an_image_becomes_a_volume_and_that_an_image(cloud, cinder, disk, tmp_path, calls):
    image = cloud.json(
        "image", "create", "--disk-format", "raw", "--container-format", "bare",
        "--property", "os_distro=debian", "--min-ram", "64", "--file", disk, "base",
    )  # fmt: skip
    volume = cloud.json("volume", "create", "--image", image["id"], "--size", "1", "made")["id"]
    wait(cloud, "volume", volume, "available")
    made = contents(cinder, volume, tmp_path)
    assert made[: 3 << 20] == disk.read_bytes()
    assert len(made) == 1 << 30
    known = cloud.json("volume", "show", volume)["volume_image_metadata"]
    assert known["image_id"] == image["id"]
    assert known["checksum"] == image["checksum"]
    assert (known["disk_format"], known["container_format"]) == ("raw", "bare")
    assert (known["size"], known["min_ram"]) == (str(3 << 20), "64")
    assert known["os_distro"] == "debian"

    cloud.openstack("image", "create", "--volume", volume, "--disk-format", "raw", "uploaded")
    wait(cloud, "image", "uploaded", "active")
    wait(cloud, "volume", volume, "available")
    uploaded = cloud.json("image", "show", "uploaded")
    assert (uploaded["disk_format"], uploaded["container_format"]) == ("raw", "bare")
    assert uploaded["owner"] == cloud.projects["demo"]
    assert uploaded["size"] == 1 << 30
    assert uploaded["properties"]["os_distro"] == "debian"
    assert uploaded["properties"]["os_hash_value"] == hashlib.sha512(made).hexdigest()


def test_a_volume_of_a_qcow2_image_is_uploaded_as_qcow2(cloud, cinder, disk, tmp_path, calls):
    packed = tmp_path / "disk.qcow2"
    subprocess.run(
        ["qemu-img", "convert", "-f", "raw", "-O", "qcow2", disk, packed], check=True, timeout=120
    )
    image = cloud.json(
        "image", "create", "--disk-format", "qcow2", "--container-format", "bare",
        "--file", packed, "base-qcow2",
    )["id"]  # fmt: skip
    volume = cloud.json("volume", "create", "--image", image, "--size", "1", "qcow2")["id"]
    wait(cloud, "volume", volume, "available")
    made = contents(cinder, volume, tmp_path)
    assert made[: 3 << 20] == disk.read_bytes()

    cloud.openstack("image", "create", "--volume", volume, "--disk-format", "qcow2", "packed")
    wait(cloud, "image", "packed", "active")
    cloud.openstack("image", "save", "--file", tmp_path / "saved", "packed")
    uploaded = cloud.json("image", "show", "packed")
    assert uploaded["disk_format"] == "qcow2"
    assert uploaded["size"] == (tmp_path / "saved").stat().st_size
    assert uploaded["virtual_size"] == 1 << 30
    command = ["qemu-img", "compare", "-f", "qcow2", "-F", "raw", tmp_path / "saved"]
    subprocess.run([*command, tmp_path / "raw"], check=True, timeout=120)


def test_a_deactivated_image_becomes_no_volume(cloud, cinder, disk, calls):
    image = cloud.json(
        "image", "create", "--disk-format", "raw", "--container-format", "bare",
        "--file", disk, "inactive-volume",
    )["id"]  # fmt: skip
    cloud.openstack("image", "set", "--deactivate", image, cloud="admin")
    refused = cloud.run(
        "openstack", "--os-cloud", "demo", "volume", "create", "--image", image, "--size", "1",
        "never", check=False,
    )  # fmt: skip
    assert b"is not active" in refused.stderr
