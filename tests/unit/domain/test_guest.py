"""What was found on a disk and what was told of its machine, put together."""

import pytest

from imagesvc.domain.guest import Guest, completed


def test_what_was_found_counts_more_than_what_was_told():
    found = Guest(os_type="windows", virtio=False)
    told = Guest(os_type="linux", os_distro="ubuntu", memory_mib=64, machine_name="x")
    made = completed(found, told)
    assert (made.os_type, made.os_distro, made.virtio) == ("windows", "ubuntu", False)
    assert (made.memory_mib, made.machine_name) == (64, "x")


@pytest.mark.parametrize(
    ("found", "told", "made"),
    [
        (("bios", "uefi"), ("uefi",), ("uefi",)),
        (("bios",), ("uefi",), ("bios",)),
        ((), ("uefi",), ("uefi",)),
        (("bios", "uefi"), (), ("bios", "uefi")),
    ],
)
def test_of_several_firmwares_the_one_is_known_that_the_machine_had(found, told, made):
    assert completed(Guest(firmware=found, label="x"), Guest(firmware=told)).firmware == made


def test_nothing_and_nothing_is_nothing():
    assert completed(None, Guest()) is None
    assert completed(None, Guest(vcpus=2)) == Guest(vcpus=2)
