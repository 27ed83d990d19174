"""Which of the found facts an image is told, and where it says something else."""

import dataclasses
import datetime

from imagesvc.domain.guest import Guest
from imagesvc.domain.image import Image, ImageDisk, Visibility
from imagesvc.domain.image_property import Limits
from imagesvc.domain.state import ImageStatus
from imagesvc.manager import guest

LIMITS = Limits()
NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
IMAGE = Image("id", "owner", "name", ImageStatus.IMPORTING, Visibility.PRIVATE, NOW, NOW)
GUEST = Guest(
    os_type="windows", os_distro="windows", os_version="10.0.20348", os_name="Windows Server 2022",
    architecture="x86_64", firmware=("uefi",), virtio=True,
)  # fmt: skip
DISK = ImageDisk(0, "system", "raw", 10, (3 << 30) + 1, None, None, None, guest=GUEST)
ALL = {
    "os_type": "windows", "os_distro": "windows", "os_version": "10.0.20348",
    "architecture": "x86_64", "hw_firmware_type": "uefi",
}  # fmt: skip


def told(image=IMAGE, disk=DISK, limits=LIMITS):
    return {change.path[-1]: change.value for change in guest.proposed(image, disk, limits)}


def test_an_image_of_which_nothing_was_said_is_told_all():
    assert told() == ALL


def test_what_was_said_is_not_told_again():
    image = dataclasses.replace(IMAGE, os_type="linux", properties={"os_version": "2019"})
    assert told(image).keys() == {"os_distro", "architecture", "hw_firmware_type"}


def test_no_more_is_told_than_an_image_may_hold():
    image = dataclasses.replace(IMAGE, properties={"a": "1", "b": "2"})
    assert list(told(image, limits=Limits(properties=3))) == ["os_type"]
    assert told(image, limits=Limits(properties=1)) == {}
    assert told(image, limits=Limits(properties=-1)) == ALL


def test_a_firmware_is_told_only_of_a_system_that_has_one():
    for found in (
        dataclasses.replace(GUEST, firmware=("bios", "uefi")),
        dataclasses.replace(GUEST, os_type=None),
    ):
        assert "hw_firmware_type" not in told(disk=dataclasses.replace(DISK, guest=found))


def test_a_disk_of_which_nothing_is_known_tells_nothing():
    assert told(disk=dataclasses.replace(DISK, guest=None)) == {}


def test_a_disk_needs_whole_gibibytes():
    sizes = (None, 0, 1, 1 << 30, (1 << 30) + 1)
    disks = [dataclasses.replace(DISK, virtual_size_bytes=size) for size in sizes]
    assert [guest.min_disk_gib(disk) for disk in disks] == [0, 0, 1, 1, 2]


def test_what_was_said_otherwise_is_named():
    image = dataclasses.replace(
        IMAGE, os_type="linux", architecture="x86_64", properties={"os_version": "2019"}
    )
    assert guest.differing(image, GUEST) == ("os_type", "os_version")
    assert guest.differing(IMAGE, GUEST) == ()
