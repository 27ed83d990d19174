"""The disks of an OVA as they come."""

import io
import tracemalloc

import pytest

from imagesvc import errors
from imagesvc.stream import disk_walk
from tests import ova
from tests.ova import Part

MIB = 1 << 20
DISKS = {"b.vmdk": b"b" * 70_001, "a.vmdk": b"a" * 513}
TEXT = ova.machine(Part("a.vmdk", 0), Part("b.vmdk", 1))


class Dribble(io.BytesIO):
    """Gives a few bytes at a time."""

    def read(self, size=-1):
        return super().read(min(size, 501) if size >= 0 else 501)


def walked(data, *, step=1000, cap=64 * MIB, reader=io.BytesIO):
    """Name -> bytes, as they come; and the walk."""
    walk = disk_walk.DiskWalk(reader(data), cap)
    found = {one.disk.name: b"".join(iter(lambda one=one: one.read(step), b"")) for one in walk}
    return found, walk


@pytest.mark.parametrize("reader", [io.BytesIO, Dribble])
@pytest.mark.parametrize("step", [1, 1000, MIB])
def test_each_disk_comes_whole_in_the_order_of_the_archive(reader, step):
    found, walk = walked(ova.packed(TEXT, DISKS), step=step, reader=reader)
    assert found == DISKS
    assert list(found) == ["b.vmdk", "a.vmdk"]
    assert [disk.name for disk in walk.machine.disks] == ["a.vmdk", "b.vmdk"]


def test_what_is_no_disk_is_passed_by():
    disc = Part("x.iso", kind=15)
    text = ova.machine(Part("a.vmdk"), disc, refs='<File o:id="n" o:href="vm.nvram"/>')
    files = {"vm.nvram": b"n" * 3000, "x.iso": b"i" * 3000, "a.vmdk": DISKS["a.vmdk"]}
    assert walked(ova.packed(text, files))[0] == {"a.vmdk": DISKS["a.vmdk"]}


@pytest.mark.parametrize("algorithm", ["SHA1", "SHA256", "SHA512"])
@pytest.mark.parametrize("at_end", [False, True])
def test_a_manifest_that_does_not_fit_is_told_after_the_last_byte(algorithm, at_end):
    files = [("vm.ovf", TEXT), *DISKS.items()]
    for last, fits in ((DISKS["a.vmdk"], True), (b"x", False)):
        text = ova.manifest(*files[:2], ("a.vmdk", last), algorithm=algorithm)
        entries = [*files, ("vm.mf", text)] if at_end else [files[0], ("vm.mf", text), *files[1:]]
        if fits:
            assert walked(ova.archive(*entries))[0] == DISKS
        else:
            with pytest.raises(errors.UnsupportedImage, match=r"does not fit a\.vmdk"):
                walked(ova.archive(*entries))


def test_an_archive_that_ends_too_early_is_refused_inside_a_disk_and_between_them():
    whole = ova.packed(TEXT, DISKS)
    for cut in (700, 4000, 30_000, len(whole) - 1500, len(whole) - 600):
        with pytest.raises(errors.UnsupportedImage, match="ends too early"):
            walked(whole[:cut])


def test_a_disk_that_is_not_there_is_missed():
    with pytest.raises(errors.UnsupportedImage, match="not in the OVA"):
        walked(ova.archive(("vm.ovf", TEXT), ("a.vmdk", b"a")))


def test_the_bound_holds_for_all_entries_together():
    with pytest.raises(errors.TooLarge):
        walked(ova.packed(TEXT, DISKS), cap=70_000)


def split(name="a.vmdk", size=2000, chunk=900, packer=""):
    """A descriptor of one disk in parts."""
    said = f'o:size="{size}" o:chunkSize="{chunk}" {packer}'
    return ova.machine(Part(name, file=said), Part("b.vmdk", 1))


PARTS = {
    "a.vmdk.000000000": b"1" * 900,
    "a.vmdk.000000001": b"2" * 900,
    "a.vmdk.000000002": b"3" * 200,
}
LAST = {"b.vmdk": b"b"}


@pytest.mark.parametrize("reader", [io.BytesIO, Dribble])
def test_a_disk_in_parts_comes_as_one(reader):
    found, _ = walked(ova.packed(split(), PARTS | LAST), reader=reader)
    assert found == {"a.vmdk": b"".join(PARTS.values()), **LAST}
    assert [len(one) for one in walked(ova.packed(split(), LAST | PARTS))[0].values()] == [1, 2000]


@pytest.mark.parametrize(
    ("text", "files", "words"),
    [
        (split(), dict(reversed(PARTS.items())) | LAST, "another order"),
        (split(), {"a.vmdk.000000000": PARTS["a.vmdk.000000000"]} | LAST, "another order"),
        (split(), LAST | {"a.vmdk.000000000": PARTS["a.vmdk.000000000"]}, "not in the OVA"),
        (split(), LAST | {"a.vmdk.000000000": b"1"}, "another length"),
        (split(), LAST | {"a.vmdk": b"1" * 2000}, "does not name"),
        (split(chunk=0), LAST, "no or many parts"), (split(size=10**17), LAST, "no or many parts"),
        (split(size=-1), LAST, "no or many parts"), (split(chunk=10), LAST, "no or many parts"),
        (split("b.vmdk", 1), {"b.vmdk.000000000": b"1"} | LAST, "two disks"),
    ],
    ids=range(10),
)  # fmt: skip
def test_parts_that_do_not_make_a_disk_are_refused(text, files, words):
    with pytest.raises(errors.UnsupportedImage, match=words):
        walked(ova.packed(text, files))


class Endless(io.RawIOBase):
    """An archive whose disk never ends; a member of nearly all that a header can say."""

    def __init__(self):
        head = ova.entry("vm.ovf", ova.machine(Part("a.vmdk")))
        self._head = io.BytesIO(
            head + ova.entry("a.vmdk", b"", size=b"\x80" + (1 << 40).to_bytes(11))
        )

    def read(self, size=-1):
        return self._head.read(size) or bytes(size)


def test_an_endless_archive_ends_at_once_and_takes_no_memory():
    tracemalloc.start()
    with pytest.raises(errors.TooLarge):
        next(iter(disk_walk.DiskWalk(Endless(), 1 << 37)))
    walk = disk_walk.DiskWalk(Endless(), 1 << 41)
    stream = next(iter(walk))
    tracemalloc.reset_peak()
    before = tracemalloc.get_traced_memory()[0]
    for _ in range(100):
        stream.read(MIB)
    assert tracemalloc.get_traced_memory()[1] - before < 4 * MIB
    tracemalloc.stop()
