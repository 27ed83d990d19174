"""Bare-metal nodes through the `imagesvc` command: an image onto a disk, and back."""

import uuid

import pytest

pytestmark = pytest.mark.slow

PAYLOAD = b"\x11\x22" * (1 << 20)


def test_an_image_goes_to_a_node_and_comes_back(running_service, tmp_path):
    disk = running_service.folder / "node.raw"
    path = tmp_path / "disk.raw"
    path.write_bytes(PAYLOAD)
    image = running_service.json(
        "image", "create", "--disk-format", "raw", "--container-format", "bare",
        "--file", path, f"metal-{uuid.uuid4().hex}",
    )["id"]  # fmt: skip
    listed = running_service.json("node", "list", command="imagesvc")
    assert [(one["ID"], one["State"]) for one in listed] == [("bench-1", "available")]
    made = running_service.json(
        "node", "deploy", "bench-1", "--image", image, "--wait", command="imagesvc"
    )
    assert (made["node"], made["state"]) == ("bench-1", "done")
    assert disk.read_bytes() == PAYLOAD + bytes(1 << 20)
    shown = running_service.json("node", "show", "bench-1", command="imagesvc")
    assert (shown["state"], shown["image_id"]) == ("active", image)
    name = f"c-{uuid.uuid4().hex}"
    captured = running_service.json(
        "node", "capture", "bench-1", "--name", name, "--wait", command="imagesvc"
    )
    saved = tmp_path / "saved.raw"
    running_service.openstack("image", "save", "--file", saved, captured["image_id"])
    assert saved.read_bytes() == disk.read_bytes()
    running_service.imagesvc("node", "undeploy", "bench-1", "--wait")
    assert not any(disk.read_bytes())
