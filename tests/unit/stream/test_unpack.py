"""Packed uploads: what comes out is bounded, whole, alone and one layer."""

import bz2
import gzip
import io
import lzma
import struct
import tracemalloc
from collections.abc import Callable

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from imagesvc import errors
from imagesvc.stream import pipe
from tests import hostile_image

MIB = 1 << 20


def zstd(data: bytes) -> bytes:
    return zstandard.ZstdCompressor(write_checksum=True).compress(data)


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "xz": lzma.compress,
    "zstd": zstd,
}


class Dribble(io.BytesIO):
    """Gives a few bytes at a time."""

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(7)


def judge(
    data: bytes,
    declared: str = "raw",
    *,
    cap: int = 64 * MIB,
    reader: type[io.BytesIO] = io.BytesIO,
) -> pipe.PipeResult:
    stored = io.BytesIO()
    result = pipe.pump(
        reader(data), stored, disk_format=declared, container_format="compressed",
        virtual_cap_bytes=1 << 40, unpacked_cap_bytes=cap,
    )  # fmt: skip
    assert stored.getvalue() == data
    return result


@pytest.mark.parametrize("packer", PACKERS)
@pytest.mark.parametrize("size", [1, 511, MIB - 1, MIB, MIB + 1, 5 * MIB])
def test_an_honest_disk_is_stored_as_it_came(packer: str, size: int) -> None:
    data = PACKERS[packer]((bytes(range(256)) * (size // 256 + 1))[:size])
    result = judge(data)
    assert (result.size_bytes, result.facts.virtual_size_bytes) == (len(data), size)
    assert result.facts.wrapped


@pytest.mark.parametrize("packer", PACKERS)
def test_it_does_not_matter_how_the_bytes_arrive(packer: str) -> None:
    data = PACKERS[packer](hostile_image.qcow2(data=b"x" * 5000))
    assert judge(data, "qcow2", reader=Dribble).facts.virtual_size_bytes == MIB


@pytest.mark.parametrize("packer", PACKERS)
@pytest.mark.parametrize("name", ["qcow2-backing", "qcow2-data-file", "iso-also-qcow2", "luks-2-declared-raw",
                                  "qcow2-declared-raw", "raw-declared-qcow2"])  # fmt: skip
def test_the_disk_inside_obeys_the_same_rules(packer: str, name: str) -> None:
    case = hostile_image.CASES[name]
    with pytest.raises((errors.UnsupportedImage, errors.TooLarge)):
        judge(PACKERS[packer](case.data), case.declared)


@pytest.mark.parametrize("packer", PACKERS)
def test_a_bomb_ends_at_the_cap_in_little_memory(packer: str) -> None:
    bomb = PACKERS[packer](bytes(256 * MIB))
    tracemalloc.start()
    with pytest.raises(errors.TooLarge):
        judge(bomb, cap=100 * MIB)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 40 * MIB
    judge(PACKERS[packer](bytes(2 * MIB)), cap=2 * MIB)


def test_the_worst_blocks_of_zstd_stay_in_little_memory() -> None:
    """Each block of four bytes stands for 128 KiB."""
    block = struct.pack("<I", (128 << 10) << 3 | 1 << 1)[:3] + b"\0"
    bomb = b"\x28\xb5\x2f\xfd\x00\x70" + block * 20_000
    tracemalloc.start()
    with pytest.raises(errors.TooLarge):
        judge(bomb, cap=512 * MIB)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 64 * MIB


@pytest.mark.parametrize("packer", PACKERS)
def test_the_stream_must_be_whole_and_alone(packer: str) -> None:
    data = PACKERS[packer](bytes(range(256)) * 100)
    for wrong in (
        data[:-1],
        data[: len(data) // 2],
        data[:5],
        data + b"\0",
        data + data,
        data + b"hidden" * 999,
    ):
        with pytest.raises(errors.UnsupportedImage):
            judge(wrong)
        with pytest.raises(errors.UnsupportedImage):
            judge(wrong, reader=Dribble)


@pytest.mark.parametrize("outer", PACKERS)
@pytest.mark.parametrize("inner", [gzip.compress, lzma.compress, zstd, bz2.compress])
def test_only_one_layer_is_taken(outer: str, inner: Callable[[bytes], bytes]) -> None:
    with pytest.raises(errors.UnsupportedImage, match="more than once"):
        judge(PACKERS[outer](inner(bytes(1000))))


@pytest.mark.parametrize(
    "data", [b"", b"x", bytes(5000), bz2.compress(b"x"), b"PK\x03\x04" + bytes(99)]
)
def test_other_packers_are_refused(data: bytes) -> None:
    with pytest.raises(errors.UnsupportedImage):
        judge(data)


def test_giant_dictionaries_and_windows_are_refused() -> None:
    filters = [{"id": lzma.FILTER_LZMA2, "dict_size": 128 * MIB}]
    with pytest.raises(errors.UnsupportedImage):
        judge(lzma.compress(bytes(1000), filters=filters))
    window = b"\x28\xb5\x2f\xfd\x00" + bytes([21 << 3]) + b"\x01\x00\x00"  # 2 GiB
    with pytest.raises(errors.UnsupportedImage):
        judge(window)


@settings(max_examples=150, deadline=None)
@given(
    packer=st.sampled_from(sorted(PACKERS)),
    flips=st.lists(st.tuples(st.integers(0, 10_000), st.integers(1, 255)), max_size=6),
    cut=st.integers(0, 10_000),
)
def test_changed_bytes_are_a_refusal_and_never_another_error(
    packer: str, flips: list[tuple[int, int]], cut: int
) -> None:
    data = bytearray(PACKERS[packer](hostile_image.qcow2(data=b"abc" * 300)))
    for at, value in flips:
        data[at % len(data)] ^= value
    try:
        judge(bytes(data[: len(data) - cut % len(data)]), "qcow2")
    except (errors.UnsupportedImage, errors.TooLarge):
        return
