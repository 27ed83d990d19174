"""What is taken over of what another image service says."""

import json

import pytest

from imagesvc.domain import remote_image

SOUND = {
    "status": "active", "size": 1, "disk_format": "raw", "container_format": "bare",
    "checksum": "0" * 32, "hw_disk_bus": "scsi",
}  # fmt: skip


@pytest.mark.parametrize("odd", ["\0", "a\0b", "\ud800", "x\udfff"])
def test_strings_that_no_database_takes_are_left_there(odd):
    said = json.loads(json.dumps({**SOUND, "hw_model": odd, f"hw_{odd}": "x"}))
    changes = remote_image.read(said, ("hw_",)).changes
    taken = {one.path[1]: one.value for one in changes if one.path[0] == "properties"}
    assert taken == {"hw_disk_bus": "scsi"}


def test_what_is_promised_of_an_id_there_is_not_promised_here():
    said = {**SOUND, "provided_until": "2090-01-01", "uuid_validity": "last-3"}
    changes = remote_image.read(said, ("",)).changes
    taken = {one.path[1]: one.value for one in changes if one.path[0] == "properties"}
    assert taken == {"hw_disk_bus": "scsi"}
