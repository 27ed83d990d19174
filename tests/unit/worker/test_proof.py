"""What was read of a disk, and what was stored."""

import dataclasses
import hashlib
import io

import pytest

from imagesvc.domain.image import ImageDisk
from imagesvc.interface.errors import IntegrityError
from imagesvc.stream.pipe import BLOCK_BYTES
from imagesvc.worker.proof import Proof, Proved

SIZES = (0, 1, BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1)


def disk(data):
    """A disk that was stored with these bytes."""
    return ImageDisk(
        index=0, role="system", disk_format="raw", size_bytes=len(data), virtual_size_bytes=None,
        md5=None, hash_algorithm="sha256", hash_value=hashlib.sha256(data).hexdigest(),
    )  # fmt: skip


def proved(stored, found):
    """A reader that proves in passing."""
    seen = Proof("image", disk(stored))
    return Proved(io.BytesIO(found), len(found), seen.finish, seen.update)


@pytest.mark.parametrize("piece", [1000, BLOCK_BYTES])
@pytest.mark.parametrize("size", SIZES)
def test_bytes_that_are_those_stored_all_pass(size, piece):
    data = b"x" * size
    reader = proved(data, data)
    assert b"".join(iter(lambda: reader.read(piece), b"")) == data


@pytest.mark.parametrize("size", SIZES[1:])
def test_of_other_bytes_the_last_are_not_given(size):
    reader = proved(b"x" * size, b"x" * (size - 1) + b"y")
    given: list[bytes] = []
    with pytest.raises(IntegrityError):
        given.extend(iter(lambda: reader.read(1000), b""))
    assert size - 1000 <= sum(map(len, given)) < size


def test_a_whole_reader_is_held_against_the_digest():
    checked = []
    Proof("image", disk(b"x" * 10)).read(io.BytesIO(b"x" * 10), lambda: checked.append(1))
    assert checked == [1]
    with pytest.raises(IntegrityError):
        Proof("image", disk(b"x" * 10)).read(io.BytesIO(b"x" * 9), lambda: None)


def test_without_a_digest_nothing_is_proved_and_nothing_read():
    bare = dataclasses.replace(disk(b"x"), hash_algorithm=None, hash_value=None)
    reader = io.BytesIO(b"y")
    Proof("image", bare).read(reader, lambda: None)
    assert reader.tell() == 0
