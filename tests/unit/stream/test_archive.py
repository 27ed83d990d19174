"""OVA archives at the upload door."""

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagesvc import errors
from imagesvc.stream import pipe
from tests import hostile_image, ova

MIB = 1 << 20
DISK = ova.vmdk()
OVF = ova.ovf("disk.vmdk")
HONEST = ova.archive(("vm.ovf", OVF), ("disk.vmdk", DISK))


class Dribble(io.BytesIO):
    """Gives a few bytes at a time."""

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(501)


def judge(
    data: bytes, declared: str = "vmdk", *, cap: int = 64 * MIB, virtual: int = 1 << 40,
    reader: type[io.BytesIO] = io.BytesIO,
) -> pipe.PipeResult:  # fmt: skip
    return pipe.pump(
        reader(data), io.BytesIO(), disk_format=declared, container_format="ova",
        virtual_cap_bytes=virtual, unpacked_cap_bytes=cap,
    )  # fmt: skip


def refused(data: bytes, declared: str = "vmdk") -> str:
    for reader in (io.BytesIO, Dribble):
        with pytest.raises((errors.UnsupportedImage, errors.TooLarge)) as caught:
            judge(data, declared, reader=reader)
    return str(caught.value)


@pytest.mark.parametrize("reader", [io.BytesIO, Dribble])
def test_an_honest_archive_passes(reader: type[io.BytesIO]) -> None:
    facts = judge(HONEST, reader=reader).facts
    assert (facts.disk_format, facts.virtual_size_bytes, facts.wrapped) == ("vmdk", MIB, True)


@pytest.mark.parametrize("algorithm", ["SHA1", "SHA256", "SHA512"])
@pytest.mark.parametrize("place", [1, 2])
def test_a_manifest_must_be_right(algorithm: str, place: int) -> None:
    right = ova.manifest(("vm.ovf", OVF), ("disk.vmdk", DISK), algorithm=algorithm)
    wrong = ova.manifest(("vm.ovf", OVF), ("disk.vmdk", DISK[:-1]), algorithm=algorithm)
    for text, passes in ((right, True), (wrong, False), (right + right, False), (b"x=y\n", False),
                         (ova.manifest(("other", b"")), False)):  # fmt: skip
        entries = [("vm.ovf", OVF), ("disk.vmdk", DISK)]
        entries.insert(place, ("vm.mf", text))
        if passes:
            judge(ova.archive(*entries))
        else:
            refused(ova.archive(*entries))


def test_several_disks_count_together() -> None:
    two = ova.archive(("vm.ovf", ova.ovf("a.vmdk", "b.vmdk")), ("b.vmdk", DISK), ("a.vmdk", DISK))
    assert judge(two).facts.virtual_size_bytes == 2 * MIB
    with pytest.raises(errors.TooLarge):
        judge(two, virtual=MIB)
    with pytest.raises(errors.TooLarge):
        judge(two, cap=100_000)


def test_files_that_are_no_disks_may_be_named() -> None:
    text = ova.ovf("disk.vmdk").replace(
        b"</References>", b'<File o:id="n" o:href="vm.nvram"/></References>'
    )
    judge(ova.archive(("vm.ovf", text), ("disk.vmdk", DISK), ("vm.nvram", b"x")))
    refused(ova.archive(("vm.ovf", text), ("disk.vmdk", DISK)))


@pytest.mark.parametrize("kind", [bytes([value]) for value in b"123456789xgLKSDMVXa"])
def test_only_plain_files_are_taken(kind: bytes) -> None:
    refused(ova.entry("vm.ovf", OVF) + ova.entry("disk.vmdk", DISK, kind=kind) + bytes(1024))
    refused(ova.entry("x", b"", kind=kind) + HONEST)
    refused(HONEST[:-1024] + ova.entry("x", b"", kind=kind) + bytes(1024))


@pytest.mark.parametrize(
    "name",
    ["../x.vmdk", "/x.vmdk", "a/x.vmdk", "./x.vmdk", "..", ".", "", "a\\x.vmdk", "a\nx", "\u00e4.vmdk",
     "-x.vmdk", ".x.vmdk", "file:x", "http://169.254.169.254/", "file:///etc/passwd", "x%2fy|z"],
)  # fmt: skip
def test_names_are_flat_and_plain(name: str) -> None:
    refused(ova.archive(("vm.ovf", ova.ovf(name.replace("\n", " "))), (name, DISK)))
    refused(ova.archive(("vm.ovf", ova.ovf(name.replace("\n", " "))), ("disk.vmdk", DISK)))


@pytest.mark.parametrize(
    "entries",
    [
        [("disk.vmdk", DISK), ("vm.ovf", OVF)],
        [("vm.ovf", OVF)],
        [("vm.ovf", OVF), ("disk.vmdk", DISK), ("disk.vmdk", DISK)],
        [("vm.ovf", OVF), ("disk.vmdk", DISK), ("DISK.vmdk", DISK)],
        [("vm.ovf", OVF), ("disk.vmdk", DISK), ("other.ovf", OVF)],
        [("vm.ovf", OVF), ("disk.vmdk", DISK), ("stray.bin", b"x")],
        [("vm.ovf", OVF), ("disk.vmdk", b"")],
        [("vm.ovf", OVF + b" " * MIB), ("disk.vmdk", DISK)],
        [("vm.ovf", b""), ("disk.vmdk", DISK)],
        [("vm.ovf", b"<x/>"), ("disk.vmdk", DISK)],
        [("vm.ovf", ova.ovf()), ("disk.vmdk", DISK)],
        [("vm.ovf", ova.ovf("disk.vmdk", "disk.vmdk")), ("disk.vmdk", DISK)],
        [("vm.ovf", OVF), *((f"e{n}.cert", b"") for n in range(70)), ("disk.vmdk", DISK)],
    ],
)
def test_an_archive_holds_what_its_descriptor_names(entries: list[tuple[str, bytes]]) -> None:
    refused(ova.archive(*entries))


@pytest.mark.parametrize(
    "text",
    [
        ova.ovf("disk.vmdk", head='<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>'),
        ova.ovf("disk.vmdk", head='<!DOCTYPE x SYSTEM "http://127.0.0.1/x.dtd">'),
        ova.ovf("disk.vmdk", head='<!DOCTYPE x [<!ENTITY % p SYSTEM "file:///x">%p;]>'),
        ova.ovf("disk.vmdk", head="<!DOCTYPE x>"),
        ova.ovf("disk.vmdk", tail="&e;"),
        ova.ovf("disk.vmdk", tail="<a>" * 100 + "</a>" * 100),
        ova.ovf("disk.vmdk", tail="<a/>" * 30_000),
        ova.ovf("disk.vmdk", disk='o:parentRef="d9"'),
        ova.ovf("disk.vmdk", file='o:compression="gzip"'),
        ova.ovf("disk.vmdk", file='o:chunkSize="512"'),
        ova.ovf("disk.vmdk", file='href="http://127.0.0.1/"'),
        ova.ovf("disk.vmdk").decode().encode("utf-16"),
        ova.ovf("disk.vmdk").replace(b'"1.0"?', b'"1.0" encoding="utf-7"?').replace(b"vm", b"\xff"),
        ova.ovf("disk.vmdk")[:-5],
        ova.ovf("disk.vmdk").replace(b'fileRef="f0"', b'fileRef="f1"'),
        ova.ovf("disk.vmdk").replace(b"dmtf", b"evil"),
        ova.ovf("disk.vmdk") + b"\0",
    ],
)
def test_the_descriptor_is_plain_xml_of_its_kind(text: bytes) -> None:
    refused(ova.archive(("vm.ovf", text), ("disk.vmdk", DISK)))


def test_the_disks_inside_obey_the_rules_of_their_format() -> None:
    def of(declared: str, data: bytes) -> bytes:
        return ova.archive(("vm.ovf", ova.ovf("d")), ("d", data))

    judge(of("qcow2", hostile_image.qcow2()), "qcow2")
    for name in ("qcow2-backing", "iso-also-qcow2", "luks-2-declared-raw", "qcow2-declared-raw"):
        case = hostile_image.CASES[name]
        refused(of(case.declared, case.data), case.declared)
    refused(of("vmdk", ova.vmdk(capacity=0)))
    refused(of("vmdk", hostile_image.DESCRIPTOR))


def test_the_archive_must_be_whole_and_end() -> None:
    for end in (b"", bytes(512), bytes(1023), bytes(1024) + b"x" * 512, bytes(2 << 20)):
        refused(HONEST[:-1024] + end)
    judge(HONEST + bytes(9216))
    for cut in range(0, len(HONEST) - 1024, 4099):
        refused(HONEST[:cut])


@pytest.mark.parametrize(
    "size", [b"77777777777\0", b"\x80" + b"\xff" * 11, b"-1".ljust(12), b"9" * 12, bytes(12)]
)
def test_a_size_that_lies_is_refused(size: bytes) -> None:
    head = ova.entry("vm.ovf", OVF)
    refused(head + ova.entry("disk.vmdk", DISK, size=size) + bytes(1024))


def test_a_large_size_in_binary_is_taken() -> None:
    size = b"\x80" + len(DISK).to_bytes(11)
    judge(ova.entry("vm.ovf", OVF) + ova.entry("disk.vmdk", DISK, size=size) + bytes(1024))


@settings(max_examples=300, deadline=None)
@given(
    flips=st.lists(st.tuples(st.integers(0, len(HONEST) - 1), st.integers(1, 255)), max_size=4),
    cut=st.integers(0, 4096),
    step=st.sampled_from([io.BytesIO, Dribble]),
)
def test_changed_bytes_are_a_refusal_and_never_another_error(
    flips: list[tuple[int, int]], cut: int, step: type[io.BytesIO]
) -> None:
    data = bytearray(HONEST)
    for at, value in flips:
        data[at % 4096 if at % 2 else at] ^= value
    try:
        judge(bytes(data[: len(data) - cut]), reader=step)
    except (errors.UnsupportedImage, errors.TooLarge):
        return
