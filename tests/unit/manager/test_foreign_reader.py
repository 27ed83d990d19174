"""What is given on of a body: what was asked for, and never the end of another whole."""

import hashlib
import io

import pytest

from imagesvc.interface.errors import IntegrityError
from imagesvc.manager.foreign_reader import ForeignReader
from imagesvc.stream.pipe import BLOCK_BYTES

SIZES = [0, 1, BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1]


class Body:
    """Bytes, at most `step` at a time."""

    def __init__(self, data, begin=0, step=BLOCK_BYTES):
        self.size = len(data)
        self._stream = io.BytesIO(data)
        self._stream.seek(begin)
        self._step = step

    @property
    def at(self):
        """Where it is."""
        return self._stream.tell()

    def read(self, size, /):
        """The next of them."""
        return self._stream.read(min(size, self._step))


def reader(data, *, size=None, offset=0, length=None, digest=None, **body):
    """One of the whole, if nothing else is said."""
    size = len(data) if size is None else size
    length = size - offset if length is None else length
    digests = {} if digest is None else {"sha256": hashlib.sha256(digest).hexdigest()}
    closed = []
    return ForeignReader(
        Body(data, **body), lambda: closed.append(1), size_bytes=size, offset=offset,
        length=length, digests=digests,
    )  # fmt: skip


def pieces(source, size):
    """All that comes by reads of one size."""
    return list(iter(lambda: source.read(size), b""))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("asked", [BLOCK_BYTES, 70_000, BLOCK_BYTES + 5])
def test_the_whole_comes_as_it_is(size, asked):
    data = (b"0123456789" * (size // 10 + 1))[:size]
    found = pieces(reader(data, digest=data), asked)
    assert b"".join(found) == data
    assert all(len(one) <= asked for one in found)
    assert reader(data, digest=data).read() == data


def test_one_byte_at_a_time_makes_no_difference():
    data = bytes(range(256)) * 4
    assert b"".join(pieces(reader(data, digest=data, step=1), 1)) == data


@pytest.mark.parametrize("size", SIZES[1:])
def test_of_another_whole_the_end_does_not_come(size):
    source, came = reader(bytes(size), digest=b"other"), []
    with pytest.raises(IntegrityError):
        came.extend(iter(lambda: source.read(1000), b""))
    assert len(b"".join(came)) < size


@pytest.mark.parametrize("size", [9, 11])
def test_a_body_of_another_length_does_not_end_well(size):
    source, came = reader(bytes(10), size=size), []
    with pytest.raises(IntegrityError):
        came.extend(iter(lambda: source.read(1), b""))
    assert len(came) < size


@pytest.mark.parametrize("begin", [0, 3, 5])
def test_a_part_is_that_of_the_whole_wherever_the_body_begins(begin):
    source = reader(b"0123456789", offset=5, length=3, begin=begin, digest=b"other", step=2)
    assert source.read() == b"567"


def test_a_part_that_is_not_there_does_not_end_well():
    with pytest.raises(IntegrityError):
        reader(b"01234", size=10, offset=7)
    with pytest.raises(IntegrityError):
        reader(b"01234", size=10, offset=3).read()
