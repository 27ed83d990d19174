"""Encrypted images through the `imagesvc` command: from every kind of source, to every target."""

import os
import uuid

import pytest

from tests.client.test_imagesvc_command import TOOL, wait_console

pytestmark = pytest.mark.slow

MIB = 1 << 20
# What backends keep as disks of their own: see docs/operator/encryption.rst.
OF_BACKENDS = ("compute", "volume", "backup", "node.raw")


@pytest.fixture(scope="module")
def key(running_service):
    """The project's default key."""
    words = ("key", "create", f"k-{uuid.uuid4().hex}", "--default")
    return running_service.json(*words, command="imagesvc")["id"]


@pytest.fixture
def mark():
    """Bytes that no other test has."""
    return uuid.uuid4().hex.encode() * 16


def imagesvc(service, *words):
    """The answer of our command."""
    return service.json(*words, "--wait", command="imagesvc")


def uploaded(service, path):
    """An encrypted image of a file; its id."""
    words = ("image", "upload", path, "--disk-format", "raw", "--name", uuid.uuid4().hex)
    return imagesvc(service, *words, "--key", "default")["image_id"]


def captured(service, what, source, *more):
    """An encrypted image of it; its id."""
    words = (what, "capture", source, "--name", uuid.uuid4().hex, "--key", "default")
    return imagesvc(service, *words, *more)["image_id"]


def saved(service, image, path):
    """What a download of an image gives."""
    service.openstack("image", "save", "--file", path, image)
    return path.read_bytes()


def check_sealed(service, mark, *images, key):
    """They say under which key they are, and no file of the service has their plain bytes."""
    for image in images:
        shown = service.json("image", "show", image, command="imagesvc")
        assert (shown["encrypted"], shown["key_id"]) == (True, key)
    for folder, folders, names in os.walk(service.folder):
        folders[:] = [one for one in folders if one not in OF_BACKENDS]
        for name in set(names) - {*OF_BACKENDS}:
            with open(os.path.join(folder, name), "rb") as file:
                assert mark not in file.read(), name


def test_an_encrypted_image_boots_and_its_captures_are_encrypted(
    running_service, key, mark, tmp_path
):
    path = tmp_path / "spark.raw"
    running_service.run("bash", TOOL, "spark", path)
    with path.open("ab") as disk:
        disk.write(mark)
    image = uploaded(running_service, path)
    words = ("server", "create", uuid.uuid4().hex, "--image", image, "--data-disk")
    (server,) = [one["ID"] for one in imagesvc(running_service, *words, f"image={image}")]
    wait_console(running_service, server, "IMAGESVC-BOOT")
    name = f"b-{uuid.uuid4().hex}"
    imagesvc(running_service, "backup", "create", server, "--name", name)
    images = [
        captured(running_service, "server", server),
        captured(running_service, "server", server, "--disk", "disk1"),
        captured(running_service, "server", server, "--whole"),
        captured(running_service, "backup", name),
    ]
    for number, one in enumerate(images):
        data = saved(running_service, one, tmp_path / f"{number}")
        assert data.endswith(mark)
        assert (data == path.read_bytes()) == (number == 1)  # the others have counted a boot
    check_sealed(running_service, mark, image, *images, key=key)
    running_service.imagesvc("server", "delete", server)
    running_service.imagesvc("backup", "delete", name, "--wait")


def test_a_node_is_deployed_from_an_encrypted_image_and_becomes_one(
    running_service, key, mark, tmp_path
):
    path = tmp_path / "disk.raw"
    path.write_bytes(mark + bytes(MIB) + mark)
    image = uploaded(running_service, path)
    imagesvc(running_service, "node", "deploy", "bench-1", "--image", image)
    node = captured(running_service, "node", "bench-1")
    running_service.imagesvc("node", "undeploy", "bench-1", "--wait")
    data, disk = path.read_bytes(), saved(running_service, node, tmp_path / "node")
    assert disk == data + bytes(len(disk) - len(data))
    check_sealed(running_service, mark, image, node, key=key)


@pytest.mark.peer
def test_a_volume_is_made_of_an_encrypted_image_and_becomes_one(
    running_service, key, mark, tmp_path
):
    path = tmp_path / "disk.raw"
    path.write_bytes(mark + bytes(MIB) + mark)
    image = uploaded(running_service, path)
    (made,) = imagesvc(running_service, "volume", "create", uuid.uuid4().hex, "--image", image)
    volume = captured(running_service, "volume", made["ID"])
    data, disk = path.read_bytes(), saved(running_service, volume, tmp_path / "volume")
    assert disk.rstrip(b"\0") == data
    check_sealed(running_service, mark, image, volume, key=key)
    running_service.imagesvc("volume", "delete", made["ID"])
