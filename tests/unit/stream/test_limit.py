"""The counting reader."""

import io

import pytest

from imagesvc import errors
from imagesvc.stream.limit import LimitedReader


def read_all(reader: LimitedReader, size: int = 3) -> bytes:
    return b"".join(iter(lambda: reader.read(size), b""))


def test_bytes_up_to_the_cap_pass() -> None:
    reader = LimitedReader(io.BytesIO(b"abcdef"), cap_bytes=6, expected_bytes=6)
    assert read_all(reader) == b"abcdef"
    assert reader.count == 6


def test_the_byte_above_the_cap_is_refused() -> None:
    reader = LimitedReader(io.BytesIO(b"abcdefg"), cap_bytes=6)
    with pytest.raises(errors.TooLarge) as caught:
        read_all(reader)
    assert caught.value.reason is errors.Reason.SIZE_CAP


def test_an_announced_length_above_the_cap_is_refused_before_a_byte_is_read() -> None:
    source = io.BytesIO(b"abcdefg")
    with pytest.raises(errors.TooLarge):
        LimitedReader(source, cap_bytes=6, expected_bytes=7)
    assert source.tell() == 0


@pytest.mark.parametrize(("expected", "word"), [(7, "fewer"), (5, "more"), (0, "more")])
def test_another_length_than_announced_is_refused(expected: int, word: str) -> None:
    reader = LimitedReader(io.BytesIO(b"abcdef"), expected_bytes=expected)
    with pytest.raises(errors.InvalidRequest, match=word) as caught:
        read_all(reader)
    assert caught.value.reason is errors.Reason.SIZE_MISMATCH


def test_nothing_is_nothing() -> None:
    assert read_all(LimitedReader(io.BytesIO(b""), cap_bytes=0, expected_bytes=0)) == b""
