"""Several objects read as one."""

import io

import pytest

from imagesvc.interface.errors import IntegrityError
from imagesvc.stream.joined import JoinedReader


class Dripping(io.BytesIO):
    """Gives one byte at a time."""

    def read(self, size=-1):
        return super().read(min(size, 1) if size >= 0 else 1)


def joined(*pieces, kind=io.BytesIO):
    """A reader of these pieces, and the streams that it opened."""
    opened = []

    def opening(data):
        def act():
            opened.append(kind(data))
            return opened[-1]

        return act

    return JoinedReader([(len(data), opening(data)) for data in pieces]), opened


def drained(reader, size):
    """All of it."""
    return b"".join(iter(lambda: reader.read(size), b""))


@pytest.mark.parametrize("kind", [io.BytesIO, Dripping])
@pytest.mark.parametrize("size", [1, 2, 3, 100])
@pytest.mark.parametrize("pieces", [(), (b"",), (b"a",), (b"ab", b"", b"c"), (b"abc", b"def")])
def test_the_pieces_come_one_after_the_other(pieces, size, kind):
    reader, opened = joined(*pieces, kind=kind)
    with reader:
        assert drained(reader, size) == b"".join(pieces)
        assert reader.read(size) == b""
    assert all(one.closed for one in opened)


def test_a_piece_is_opened_when_its_turn_comes():
    reader, opened = joined(b"ab", b"cd")
    with reader:
        reader.read(2)
        assert len(opened) == 1
        reader.read(1)
        assert (len(opened), opened[0].closed, opened[1].closed) == (2, True, False)
    assert opened[1].closed


@pytest.mark.parametrize("length", [2, 4])
def test_a_piece_of_another_length_is_damage(length):
    reader = JoinedReader([(length, lambda: io.BytesIO(b"abc")), (1, lambda: io.BytesIO(b"d"))])
    with reader, pytest.raises(IntegrityError):
        drained(reader, 10)
