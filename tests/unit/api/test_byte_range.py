"""Range against a size."""

import io

import falcon.testing
import pytest

from imagesvc import errors
from imagesvc.api import byte_range
from imagesvc.errors import Reason
from imagesvc.stream.pipe import BLOCK_BYTES


@pytest.mark.parametrize(
    ("value", "offset", "length"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=0-99", 0, 100),
        ("bytes=0-1000", 0, 100),
        ("bytes=5-", 5, 95),
        ("bytes=99-", 99, 1),
        ("bytes=-1", 99, 1),
        ("bytes=-1000", 0, 100),
        ("Bytes = 1 - 2", 1, 2),
    ],
)
def test_a_range_is_cut_to_the_size(value, offset, length):
    span = byte_range.parse(value, 100)
    assert (span.offset, span.length) == (offset, length)
    assert span.content_range == f"bytes {offset}-{offset + length - 1}/100"


@pytest.mark.parametrize(
    ("value", "size"),
    [
        ("bytes=100-", 100),
        ("bytes=100-200", 100),
        ("bytes=5-4", 100),
        ("bytes=-0", 100),
        ("bytes=-", 100),
        ("bytes=", 100),
        ("bytes", 100),
        ("items=0-1", 100),
        ("bytes=a-b", 100),
        ("bytes=1-2-3", 100),
        ("bytes=0-", 0),
        ("bytes=-5", 0),
        ("bytes=0-99999999999999999999", 100),
    ],
)
def test_what_cannot_be_met_is_a_range_error(value, size):
    with pytest.raises(errors.InvalidRequest) as caught:
        byte_range.parse(value, size)
    assert caught.value.reason is Reason.RANGE
    assert caught.value.facts["size"] == size


def test_several_ranges_are_refused():
    with pytest.raises(errors.InvalidRequest) as caught:
        byte_range.parse("bytes=0-1,3-4", 100)
    assert caught.value.reason is Reason.RANGES


def _request(**headers):
    return falcon.testing.create_req(headers={k.replace("_", "-"): v for k, v in headers.items()})


def test_old_clients_ask_by_content_range():
    assert byte_range.asked(_request(Content_Range="bytes 1-2/*")) == "bytes=1-2"
    assert byte_range.asked(_request(Content_Range="bytes 1-2/10")) == "bytes=1-2"
    assert byte_range.asked(_request(Content_Range="nonsense")) == "nonsense"


def test_if_range_holds_only_for_the_same_etag():
    assert byte_range.asked(_request(Range="bytes=1-", If_Range='"a"'), "a") == "bytes=1-"
    assert byte_range.asked(_request(Range="bytes=1-", If_Range='"a"'), "b") is None
    assert byte_range.asked(_request(Range="bytes=1-", If_Range='"a"')) is None


class OneByOne(io.BytesIO):
    """Gives a byte at a time."""

    def read(self, size=-1):
        return super().read(min(size, 1))


@pytest.mark.parametrize("kind", [io.BytesIO, OneByOne])
@pytest.mark.parametrize("length", [0, 1, 7, 10, 11])
def test_blocks_stop_at_their_length_or_with_the_stream(kind, length):
    stream = kind(b"0123456789")
    blocks = byte_range.Blocks(stream, length)
    assert b"".join(blocks) == b"0123456789"[:length]
    blocks.close()
    assert stream.closed


def test_bytes_that_are_no_file_go_to_the_server_in_large_blocks():
    data = bytes(BLOCK_BYTES + 1)
    blocks = byte_range.Blocks(io.BytesIO(data), len(data))
    assert [len(block) for block in blocks] == [BLOCK_BYTES, 1]
    assert not hasattr(blocks, "read")  # falcon would take 8 KiB at a time
