"""The format of bytes of which nobody said it."""

import io

import pytest

from imagesvc import errors
from imagesvc.stream import sniff
from imagesvc.stream.format import table
from tests import hostile_image

FOUND = {
    "qcow2": hostile_image.qcow2(), "qcow": hostile_image.qcow(), "iso": hostile_image.disc(),
    "vmdk": hostile_image.sparse_vmdk(), "vhd": hostile_image.FOOTER + bytes(1024),
    "vhdx": b"vhdxfile" + bytes(1000), "vdi": hostile_image.VDI, "qed": b"QED\0" + bytes(100),
}  # fmt: skip


class Slow:
    """Gives one byte at a time."""

    def __init__(self, data):
        self._file = io.BytesIO(data)

    def read(self, size):
        return self._file.read(min(size, 1))


@pytest.mark.parametrize("name", FOUND)
@pytest.mark.parametrize("reader", [io.BytesIO, Slow])
def test_a_format_is_found_and_every_byte_is_given(name, reader):
    sniffer = sniff.Sniffer(reader(FOUND[name]))
    assert sniffer.disk_format == name
    assert b"".join(iter(lambda: sniffer.read(1000), b"")) == FOUND[name]


@pytest.mark.parametrize(
    "data",
    [
        b"", b"x", bytes(100_000), bytes(1000) + hostile_image.FOOTER,
        hostile_image.disc(hostile_image.qcow2()), b"LUKS\xba\xbe\0\x02" + bytes(1000),
        b"koly", hostile_image.boot_record((0x80, 0x83)),
    ],
)  # fmt: skip
def test_what_does_not_show_or_shows_twice_has_to_be_said(data):
    with pytest.raises(errors.UnsupportedImage):
        sniff.Sniffer(io.BytesIO(data))


def test_no_more_than_the_head_is_held():
    data = hostile_image.qcow2() + bytes(2 * table.HEAD_BYTES)
    source = io.BytesIO(data)
    sniff.Sniffer(source)
    assert source.tell() == table.HEAD_BYTES
