"""What an OVF descriptor may cost before it is refused, and how its names are read."""

import subprocess
import sys

import pytest

from imagesvc import errors
from imagesvc.stream import descriptor, ovf
from tests import ova

SPACE = "http://schemas.dmtf.org/ovf/envelope/1"
ROOM_BYTES = 32 << 20  # above what the child has when it begins
JUDGE = """
import resource, sys
from imagesvc import errors
from imagesvc.stream import descriptor
data = sys.stdin.buffer.read()
pages = int(open("/proc/self/statm").read().split()[0])
bound = pages * resource.getpagesize() + int(sys.argv[1])
resource.setrlimit(resource.RLIMIT_AS, (bound, bound))
try:
    descriptor.Descriptor(data)
except errors.UnsupportedImage as exc:
    print(exc)
"""


def judged(data: bytes) -> str:
    """Why it is refused, by a process that has little room for it."""
    done = subprocess.run(
        [sys.executable, "-c", JUDGE, str(ROOM_BYTES)], input=data, capture_output=True
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


def root(text: str, more: str = "") -> bytes:
    """An envelope around a text."""
    return f'<Envelope xmlns="{SPACE}" {more}>{text}</Envelope>'.encode()


def repeated(text: str, count: int) -> str:
    """The text so many times, each with another number in it."""
    return "".join(text.format(n=n) for n in range(count))


LONG = root("<a " + repeated('x:a{n}="" ', 4000) + "/>", "xmlns:x='" + "u" * 50_000 + "'")


@pytest.mark.parametrize(
    ("data", "cause"),
    [
        (LONG, "names no disk"),
        (root("<a " + repeated('a{n}="" ', 19_000) + "/>"), "names no disk"),
        (root("<a " + repeated('a{n}="" ', 100_000) + "/>"), "too many attributes"),
        (root(repeated('<a b{n}="" c{n}=""/>', 19_000)), "too many attributes"),
        (root(repeated("<x:a{n}/>", 15_000), "xmlns:x='" + "u" * 500_000 + "'"), "names no disk"),
        (root("<a/>" * 200_000), "too long"),
        (root(repeated('<File id="f{n}" href="f{n}" size="64" chunkSize="1"/>', 4500)), "files"),
    ],
    ids=[
        "long names",
        "one tag",
        "a longer tag",
        "many tags",
        "many elements",
        "short elements",
        "many parts",
    ],
)
def test_a_descriptor_costs_little_whatever_it_says(data: bytes, cause: str) -> None:
    assert len(data) <= ovf.BYTES_MAX
    assert cause in judged(data)


def test_the_parts_of_all_files_are_few() -> None:
    split = [f'<File id="f{n}" href="f{n}" size="40" chunkSize="1"/>' for n in (0, 1)]
    disk = '<Disk diskId="d" fileRef="f0"/>'
    assert len(descriptor.Descriptor(root(split[0] + disk)).entries) == 40
    with pytest.raises(errors.UnsupportedImage, match="too many files"):
        descriptor.Descriptor(root("".join(split) + disk))


def test_names_are_read_without_their_prefixes_and_texts_may_look_like_attributes() -> None:
    found = ovf.parse(
        f"<o:Envelope xmlns:o='{SPACE}' xml:lang = \"en\"><o:a o:b='1'>{'= ' * 9000}</o:a>"
        "</o:Envelope>".encode()
    )
    assert (found.name, found.attributes) == ("Envelope", {"lang": "en"})
    assert [(one.name, one.attributes) for one in found.every("a")] == [("a", {"b": "1"})]


@pytest.mark.parametrize(
    "text",
    [
        b"<Envelope/>",
        b'<Envelope xmlns="urn:x"/>',
        f'<x:Envelope xmlns="{SPACE}"/>'.encode(),
        root('<a x:b="1" y:b="1"/>'),
        root("<a:b:c/>"),
        root("<:c/>"),
    ],
)
def test_an_envelope_says_what_it_is_and_nothing_twice(text: bytes) -> None:
    with pytest.raises(errors.UnsupportedImage):
        ovf.parse(text)


def test_descriptors_as_they_are_written_are_taken() -> None:
    assert descriptor.Descriptor(ova.ovf("a.vmdk")).disk_names == {"a.vmdk"}
