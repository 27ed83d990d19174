"""Data volumes through the `imagesvc` command: from an image, and at a guest."""

import uuid

import pytest

from tests.client.test_imagesvc_command import create, spark, wait_console

pytestmark = pytest.mark.slow

__all__ = ["spark"]
MARKER_OFFSET = 1040  # where the guest looks for a marker on its second disk


def test_a_data_image_becomes_a_volume_that_a_guest_reads_and_writes(
    running_service, spark, tmp_path
):
    path = tmp_path / "data.raw"
    path.write_bytes(bytes(MARKER_OFFSET) + b"payload\0" + bytes(1 << 20))
    image = running_service.json(
        "image", "create", "--disk-format", "raw", "--container-format", "bare",
        "--file", path, f"data-{uuid.uuid4().hex}",
    )["id"]  # fmt: skip
    name = f"v-{uuid.uuid4().hex}"
    (made,) = running_service.json(
        "volume", "create", name, "--image", image, "--wait", command="imagesvc"
    )
    assert (made["State"], made["Bytes"], made["Image"]) == ("available", 1 << 30, image)
    (server,) = create(running_service, spark)
    wait_console(running_service, server, "IMAGESVC-BOOT")
    running_service.imagesvc("server", "volume", "attach", server, name)
    shown = running_service.json("volume", "show", name, command="imagesvc")
    assert (shown["state"], shown["server_id"]) == ("in-use", server)
    running_service.imagesvc("server", "stop", server)
    running_service.imagesvc("server", "start", server)
    wait_console(running_service, server, "boots=00002 marker=(empty) disk2=payload")
    running_service.imagesvc("server", "console", "write", server, "Dchanged")
    wait_console(running_service, server, "OK")
    running_service.imagesvc("server", "stop", server)
    captured = running_service.json(
        "volume", "capture", name, "--name", f"c-{uuid.uuid4().hex}", command="imagesvc"
    )
    job = running_service.json("job", "show", captured["job_id"], command="imagesvc")
    assert (job["type"], job["image_id"]) == ("capture-volume", captured["image_id"])
    running_service.imagesvc("job", "cancel", captured["job_id"])
    running_service.imagesvc("server", "volume", "detach", server, name)
    running_service.imagesvc("volume", "delete", name)
    listed = running_service.json("volume", "list", command="imagesvc")
    assert made["ID"] not in [one["ID"] for one in listed]
