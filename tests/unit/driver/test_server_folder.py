"""Records of servers, as processes of either release read them."""

import json

import pytest

from imagesvc_drivers.compute.qemu.server_folder import DiskRecord, ServerFolder, ServerRecord


@pytest.mark.parametrize("file", ["", "disk0-abc.qcow2"])
def test_a_file_name_is_written_only_where_it_is_not_the_old_one(tmp_path, file):
    disk = DiskRecord("disk0", 512, "base.raw", "raw", file)
    server = ServerRecord(
        server_id="s", project_id="p", name="n", os_type="linux", architecture="x86_64",
        memory_mib=16, vcpus=1, created_at="", image_id=None, handle="h", disks=(disk,),
    )  # fmt: skip
    folder = ServerFolder(tmp_path)
    folder.write(server)
    (written,) = json.loads((tmp_path / "server.json").read_text())["disks"]
    assert written.get("file", "") == file
    assert ("file" in written) is bool(file)
    assert folder.read() == server
    assert folder.disk_path(disk).name == (file or "disk0.qcow2")
