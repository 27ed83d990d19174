"""How an image is kept: its copies, and a warning at one."""

import pytest

from imagesvc.db import damage, location
from tests import guest_disk
from tests.api.caller import Caller

NATIVE = "/imagesvc/v1"


@pytest.fixture
def owner(each_app):
    return Caller(each_app)


def show(caller, image_id):
    found = caller.get(f"{NATIVE}/images/{image_id}")
    assert found.status_code == 200, found.text
    return found.json["image"]


def place_of(service, image_id):
    with service.database.read() as conn:
        (page,) = location.page(conn, "local", f"{image_id}/", 1)
    assert page.image_id == image_id
    return "local", page.storage_key


def test_an_image_without_bytes_has_no_copies(owner):
    found = show(owner, owner.create(name="empty")["id"])
    assert (found["name"], found["status"], found["good_copies"]) == ("empty", "queued", None)
    assert (found["damaged"], found["warnings"], found["disks"]) == (False, [], [])


def test_one_copy_is_a_warning(owner):
    found = show(owner, owner.active(b"x" * 100))
    assert (found["good_copies"], found["stores"], found["damaged"]) == (1, ["local"], False)
    assert "one good copy" in found["warnings"][0]
    (disk,) = found["disks"]
    assert (disk["index"], disk["size_bytes"], disk["good_copies"]) == (0, 100, 1)
    copy = {"store": "local", "number": 0, "good": True, "fault": None, "found_at": None}
    assert disk["copies"] == [copy]


@pytest.fixture
def far_copied(each_service, owner):
    """An image with a copy in a store that there is not, which other tests are not to find."""
    image_id = owner.active()
    with each_service.database.write() as conn:
        location.add(conn, image_id, 0, "far", f"{image_id}/far")
    yield image_id
    with each_service.database.write() as conn:
        assert location.take(conn, image_id, "far")


def test_a_copy_in_another_store_is_counted_and_no_warning(owner, far_copied):
    image_id = far_copied
    found = show(owner, image_id)
    assert (found["good_copies"], found["stores"]) == (2, ["local", "far"])
    assert found["warnings"] == []


def test_a_damaged_copy_is_told_with_its_fault(each_service, owner, far_copied):
    image_id = far_copied
    with each_service.database.write() as conn:
        damage.mark(conn, *place_of(each_service, image_id), 0, "corrupt")
    found = show(owner, image_id)
    assert (found["good_copies"], found["damaged"]) == (1, False)
    bad, good = found["disks"][0]["copies"]
    assert (bad["store"], bad["good"], bad["fault"]) == ("local", False, "corrupt")
    assert bad["found_at"].endswith("Z")
    assert (good["store"], good["good"]) == ("far", True)
    with each_service.database.write() as conn:
        damage.mark(conn, "far", f"{image_id}/far", 0, "missing")
    found = show(owner, image_id)
    assert (found["good_copies"], found["damaged"]) == (0, True)
    assert "no good copy" in found["warnings"][0]


def test_it_is_shown_to_those_who_see_the_image(each_app, owner):
    image_id = owner.active()
    stranger, reader = Caller(each_app), Caller(each_app, owner.project, "reader")
    assert stranger.get(f"{NATIVE}/images/{image_id}").status_code == 404
    assert show(reader, image_id)["id"] == image_id
    owner.share(image_id, stranger.project)
    assert show(stranger, image_id)["id"] == image_id
    assert owner.get(f"{NATIVE}/images/nothing").status_code == 404


@pytest.fixture(scope="module")
def spark(tmp_path_factory):
    return guest_disk.spark(tmp_path_factory.mktemp("spark"))


FOUND = {
    "os_type": "linux", "os_distro": "debian", "os_version": "12", "os_name": "Spark 1",
    "architecture": None, "firmware": ["bios"], "virtio": None, "cloud_init": True, "label": None,
    "file_systems": ["ext"], "machine_name": None, "vcpus": None, "memory_mib": None, "min_disk_gib": 1, "differs": [],
}  # fmt: skip


@pytest.mark.parametrize("disk_format", ["raw", "qcow2"])
def test_what_is_found_on_a_disk_is_shown_and_not_set(owner, spark, disk_format):
    data = spark.with_suffix(f".{disk_format}").read_bytes()
    image_id = owner.active(data, disk_format=disk_format)
    assert show(owner, image_id)["found"] == FOUND
    said = owner.get(f"/v2/images/{image_id}").json
    assert not said.keys() & {"os_type", "os_distro", "os_version", "hw_firmware_type"}
    assert said["min_disk"] == 0


def test_what_was_said_otherwise_is_named(owner, spark):
    image_id = owner.active(
        spark.read_bytes(), os_type="windows", os_version="12", hw_firmware_type="uefi"
    )
    assert show(owner, image_id)["found"]["differs"] == ["os_type", "hw_firmware_type"]
    assert owner.get(f"/v2/images/{image_id}").json["os_type"] == "windows"


def test_without_bytes_nothing_is_found(owner):
    assert show(owner, owner.create()["id"])["found"] is None


def test_of_mere_bytes_the_size_is_known(owner):
    found = show(owner, owner.active(b"x" * 100_000))["found"]
    assert {name for name, value in found.items() if value} == {"min_disk_gib"}
