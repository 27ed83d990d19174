"""What an OVF descriptor says of its machine."""

import pytest

from imagesvc import errors
from imagesvc.stream import descriptor, machine
from tests import ova
from tests.ova import Part


def described(*parts, **values):
    """The machine of a descriptor."""
    return machine.describe(descriptor.Descriptor(ova.machine(*parts, **values)))


def names(*parts, **values):
    """Its disks in order."""
    return [disk.name for disk in described(*parts, **values).disks]


def refused(*parts, **values):
    """Why it is not taken."""
    with pytest.raises(errors.UnsupportedImage) as caught:
        described(*parts, **values)
    return str(caught.value)


def test_disks_come_in_the_order_of_controllers_and_units():
    three = (Part("c", 1), Part("a", 0, "ide0"), Part("b", 0))
    assert names(*three, controllers=("ide0", "scsi0")) == ["a", "b", "c"]
    assert names(*three, controllers=("scsi0", "ide0")) == ["b", "c", "a"]
    of_two = (Part("b", 0, "sata1"), Part("a", 15, "sata0"))
    assert names(*of_two, controllers=("sata1", "sata0")) == ["a", "b"]


def test_disks_without_a_place_come_last_and_in_the_order_of_the_text():
    assert names(Part("z", controller="none"), Part("y", controller="none"), Part("x", 3)) == [
        "x", "z", "y",
    ]  # fmt: skip


def test_without_hardware_disks_come_as_they_are_listed():
    text = ova.ovf("b.vmdk", "a.vmdk", tail='<VirtualSystem o:id="x"/>')
    found = machine.describe(descriptor.Descriptor(text))
    assert [disk.name for disk in found.disks] == ["b.vmdk", "a.vmdk"]
    assert found.told.machine_name == "x"


def test_a_disc_in_a_drive_is_no_disk_of_the_machine():
    disc = Part("tools.iso", 1, "ide0", "http://www.ecma-international.org/Ecma-119", kind=15)
    assert names(disc, Part("a.vmdk"), controllers=("ide0", "scsi0")) == ["a.vmdk"]
    assert "or none" in refused(disc)


@pytest.mark.parametrize(
    ("uri", "name", "found"),
    [
        (ova.STREAM, "x", "vmdk"),
        ("http://www.vmware.com/specifications/vmdk.html#sparse", "x", "vmdk"),
        ("http://www.gnome.org/~markmc/qcow-image-format.html", "x", "qcow2"),
        ("http://go.microsoft.com/fwlink/?LinkId=137171", "x", "vhd"),
        ("", "x.QCOW2", "qcow2"), ("", "x.vmdk.gz", "vmdk"), ("urn:y", "x.raw", "raw"),
    ],
)  # fmt: skip
def test_the_format_of_a_disk_is_what_the_descriptor_says(uri, name, found):
    assert described(Part(name, format=uri)).disks[0].disk_format == found


def test_what_a_descriptor_tells_of_the_guest():
    told = described(Part("a")).told
    assert (told.os_type, told.os_distro, told.os_name) == ("linux", "ubuntu", "Ubuntu, 64 bit")
    assert (told.architecture, told.firmware, told.machine_name) == (
        "x86_64", ("uefi",), "two disks",
    )  # fmt: skip
    assert (told.vcpus, told.memory_mib) == (2, 2048)


@pytest.mark.parametrize(
    ("quantity", "units", "found"),
    [
        (1, "byte*2^30", 1024), (512, "MegaBytes", 512), (4194304, "byte * 2^10", 4096),
        (2, "GB", 2048), (5, "furlongs", None), (0, "byte * 2^20", None), (1, "byte * 2^99", None),
        ("9" * 30, "byte * 2^20", None), (1, "byte * 2^10", None),
    ],
)  # fmt: skip
def test_memory_is_in_the_units_that_are_said(quantity, units, found):
    assert described(Part("a"), memory=(quantity, units)).told.memory_mib == found


@pytest.mark.parametrize(
    ("system", "found"),
    [
        ('<OperatingSystemSection o:id="116"/>', "windows"),
        ('<OperatingSystemSection o:id="101"/>', "linux"),
        ('<OperatingSystemSection o:id="1" v:osType="windows9_64Guest"/>', "windows"),
        ('<OperatingSystemSection o:id="1"><v:OSType>Debian_64</v:OSType></OperatingSystemSection>',
         "linux"),
        ('<OperatingSystemSection o:id="29"/>', None), ('<OperatingSystemSection o:id="x"/>', None),
        ("", None),
    ],
)  # fmt: skip
def test_a_system_is_known_by_its_number_or_by_a_word(system, found):
    assert described(Part("a"), system=system).told.os_type == found


@pytest.mark.parametrize(
    ("more", "found"),
    [
        ('<v:Config v:key="firmware" v:value="bios"/>', ("bios",)),
        ('<v:Firmware type="EFI"/>', ("uefi",)),
        ('<v:Config v:key="other" v:value="efi"/>', ()), ('<v:Config v:value="efi"/>', ()), ("", ()),
    ],
)  # fmt: skip
def test_the_firmware_is_what_hypervisors_write(more, found):
    assert described(Part("a"), more=more).told.firmware == found


def test_other_configurations_and_bounds_say_nothing():
    least = '<Item bound="min"><r:ResourceType>4</r:ResourceType></Item>'
    other = '<Item configuration="big"><r:ResourceType>17</r:ResourceType></Item>'
    assert names(Part("a"), items=least + other) == ["a"]


def test_texts_of_a_stranger_are_short_and_printable():
    assert described(Part("a"), name="x" * 200).told.machine_name is None
    assert described(Part("a"), name="x\u202ey").told.machine_name is None


@pytest.mark.parametrize(
    ("parts", "values", "words"),
    [
        ([Part(f"{n}", n) for n in range(5)], {}, "5 disks; at most 4"),
        ([Part("a")], {"wrap": "<VirtualSystemCollection>{}</VirtualSystemCollection>"},
         "one virtual system"),
        ([Part("a")], {"wrap": "{0}{0}"}, "one virtual system"),
        ([Part("a")], {"wrap": ""}, "one virtual system"),
        ([Part("a"), Part("b", 1, kind=99)], {}, "its machine does not have"),
        ([Part("a")], {"items": ova.item(ResourceType=17, HostResource="ovf:/disk/d0")},
         "a disk twice"),
        ([Part("a")], {"items": ova.item(ResourceType=17, HostResource="ovf:/disk/d9")},
         "none of its disks"),
        ([Part("a")], {"items": ova.item(ResourceType=17, HostResource="http://127.0.0.1/d")},
         "none of its disks"),
        ([Part("a", format="urn:x")], {}, "of which format a is"),
        ([Part("a", file='o:compression="bzip2"')], {}, "packed by something but gzip"),
    ],
)  # fmt: skip
def test_a_machine_that_is_not_taken_is_refused_with_its_cause(parts, values, words):
    assert words in refused(*parts, **values)


@pytest.mark.parametrize(
    ("disk", "words"),
    [
        ('<Disk o:diskId="d0" o:fileRef="f0"/>', "one id"),
        ('<Disk o:diskId="d1" o:fileRef="f0"/>', "does not have"),
        ('<Disk o:diskId="d1"/>', "does not have"),
    ],
)
def test_disks_have_ids_and_files_of_their_own(disk, words):
    text = ova.machine(Part("a")).replace(b"</DiskSection>", disk.encode() + b"</DiskSection>")
    with pytest.raises(errors.UnsupportedImage, match=words):
        machine.describe(descriptor.Descriptor(text))


def test_a_disk_that_begins_empty_is_not_taken():
    more = ova.item(ResourceType=17, HostResource="/disk/d1", Parent="scsi0", AddressOnParent=1)
    text = ova.machine(Part("a"), items=more)
    text = text.replace(b"</DiskSection>", b'<Disk o:diskId="d1"/></DiskSection>')
    with pytest.raises(errors.UnsupportedImage, match="has no file"):
        machine.describe(descriptor.Descriptor(text))
