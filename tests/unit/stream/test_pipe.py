"""Source to writer in one pass."""

import hashlib
import io
import subprocess
import sys

import pytest

from imagesvc import errors
from imagesvc.stream import pipe

CHUNK = pipe.BLOCK_BYTES
SIZES = [0, 1, CHUNK - 1, CHUNK, CHUNK + 1]
MEMORY_CHILD = """
import tracemalloc
from imagesvc.stream import pipe
class Zeros:
    left = 256 << 20
    def read(self, size):
        size = min(size, self.left)
        self.left -= size
        return bytes(size)
class Nowhere:
    def write(self, data): pass
tracemalloc.start()
result = pipe.pump(Zeros(), Nowhere(), disk_format="raw")
print(result.size_bytes, tracemalloc.get_traced_memory()[1])
"""


class Blocks(io.BytesIO):
    """A writer that keeps the sizes of its blocks."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self.sizes.append(len(data))
        return super().write(data)


class Trickle(io.BytesIO):
    """A reader that gives one byte at a time."""

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(1 if size else 0)


class Broken(io.BytesIO):
    """A reader whose connection breaks."""

    def read(self, size: int | None = -1, /) -> bytes:
        raise ConnectionResetError


def content(size: int) -> bytes:
    return (b"0123456789abcdef!" * (size // 17 + 1))[:size]


@pytest.mark.parametrize("reader", [io.BytesIO, Trickle])
@pytest.mark.parametrize("size", SIZES)
def test_every_byte_arrives_once_with_its_hashes(reader: type[io.BytesIO], size: int) -> None:
    data = content(size)
    writer = Blocks()
    result = pipe.pump(reader(data), writer, disk_format="raw", expected_bytes=size, cap_bytes=size)
    assert writer.getvalue() == data
    assert result.size_bytes == size
    assert result.md5 == hashlib.md5(data).hexdigest()
    assert (result.hash_algorithm, result.hash_value) == (
        "sha512",
        hashlib.sha512(data).hexdigest(),
    )
    assert (result.facts.disk_format, result.facts.virtual_size_bytes) == ("raw", size)
    assert all(size == CHUNK for size in writer.sizes[:-1])


@pytest.mark.parametrize("size", SIZES)
def test_one_byte_less_than_announced_is_refused(size: int) -> None:
    with pytest.raises(errors.InvalidRequest):
        pipe.pump(io.BytesIO(content(size)), Blocks(), disk_format="raw", expected_bytes=size + 1)


@pytest.mark.parametrize("size", SIZES[1:])
def test_one_byte_above_the_cap_is_refused(size: int) -> None:
    with pytest.raises(errors.TooLarge):
        pipe.pump(io.BytesIO(content(size)), Blocks(), disk_format="raw", cap_bytes=size - 1)


def test_bytes_of_another_format_never_reach_the_writer() -> None:
    writer = Blocks()
    with pytest.raises(errors.UnsupportedImage):
        pipe.pump(io.BytesIO(bytes(CHUNK)), writer, disk_format="qcow2")
    assert writer.getvalue() == b""


def test_what_the_progress_raises_ends_the_pump() -> None:
    seen: list[int] = []

    def progress(done: int) -> None:
        seen.append(done)
        if done == 2 * CHUNK:
            raise errors.ImageGone(image_id="x")

    with pytest.raises(errors.ImageGone):
        pipe.pump(io.BytesIO(bytes(4 * CHUNK)), Blocks(), disk_format="raw", progress=progress)
    assert seen == [CHUNK, 2 * CHUNK]


def test_a_broken_source_is_told_as_it_is() -> None:
    with pytest.raises(ConnectionResetError):
        pipe.pump(Broken(), Blocks(), disk_format="raw")


def test_memory_stays_constant_for_256_mib() -> None:
    done = subprocess.run(
        [sys.executable, "-c", MEMORY_CHILD], capture_output=True, text=True, check=True
    )
    size, peak = map(int, done.stdout.split())
    assert size == 256 << 20
    assert peak <= 16 << 20
