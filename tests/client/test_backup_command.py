"""Backups of servers through the `imagesvc` command, on real guests with two disks."""

import uuid

import pytest

from tests.client.test_imagesvc_command import create, spark, wait_console
from tests.client.test_whole_server import imagesvc, with_data, write

__all__ = ["spark"]

pytestmark = [pytest.mark.slow, pytest.mark.peer]


def test_a_server_comes_back_from_its_backup_and_from_an_image_of_it(running_service, spark):
    (server,) = with_data(running_service, spark)
    write(running_service, server, "Wfirst")
    write(running_service, server, "Dsecond")
    name = f"b-{uuid.uuid4().hex}"
    made = imagesvc(running_service, "backup", "create", server, "--name", name, "--wait")
    assert (made["name"], made["server_id"]) == (name, server)
    write(running_service, server, "Wlater")
    running_service.imagesvc("server", "delete", server)
    (told,) = imagesvc(
        running_service, "backup", "restore", name, f"r-{name}", "--memory", "16", "--wait"
    )
    line = wait_console(running_service, told["Server"], "IMAGESVC-BOOT")
    assert "marker=first disk2=second" in line
    captured = imagesvc(running_service, "backup", "capture", name, "--name", f"i-{name}", "--wait")
    shown = imagesvc(running_service, "image", "show", captured["image_id"])
    assert [disk["role"] for disk in shown["disks"]] == ["system", "data"]
    (again,) = create(running_service, captured["image_id"])
    line = wait_console(running_service, again, "IMAGESVC-BOOT")
    assert "marker=first disk2=second" in line
    listed = imagesvc(running_service, "backup", "list")
    assert [one["ID"] for one in listed if one["Name"] == name] == [made["id"]]
    assert imagesvc(running_service, "backup", "show", name)["disks"] == made["disks"]
    (job,) = imagesvc(running_service, "backup", "delete", name, "--wait")
    assert job["State"] == "done"
    assert made["id"] not in [one["ID"] for one in imagesvc(running_service, "backup", "list")]
    running_service.imagesvc("server", "delete", told["Server"], again)
