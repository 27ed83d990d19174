"""Copies of images through the `imagesvc` command."""

import uuid

import pytest

pytestmark = pytest.mark.slow


def test_an_image_is_copied_by_name_and_the_copy_is_active(running_service, raw_image):
    name = f"source-{uuid.uuid4().hex}"
    source = running_service.json(
        "image", "create", "--disk-format", "raw", "--container-format", "bare", "--file", raw_image,
        "--tag", "kept", name,
    )  # fmt: skip
    done = running_service.json(
        "image", "copy", name, f"{name}-copy", "--description", "of a test", "--wait",
        command="imagesvc",
    )  # fmt: skip
    assert done["state"] == "done"
    copy = running_service.json("image", "show", done["image_id"])
    assert (copy["status"], copy["visibility"], copy["tags"]) == ("active", "private", ["kept"])
    assert copy["properties"]["description"] == "of a test"
    shown = running_service.json("image", "show", source["id"])
    assert copy["properties"]["os_hash_value"] == shown["properties"]["os_hash_value"]


def test_an_image_that_is_not_there_is_not_copied(running_service):
    found = running_service.run(
        "imagesvc", "--os-cloud", "demo", "image", "copy", "absent", "x", check=False
    )
    assert found.returncode == 1
    assert "No image absent" in found.stderr.decode()
