"""The one way of bytes: source, limit, gate one, digest, writer. Constant memory."""

import dataclasses
from collections.abc import Callable, Iterator
from typing import Protocol

from imagesvc.stream import container, digest, inspect, limit

# Below 1 MiB the hand-over to the hash threads costs more than they save.
BLOCK_BYTES = 1 << 20


class Writer(Protocol):
    """Takes the bytes, as `interface.storage.ObjectWriter` does."""

    def write(self, data: bytes, /) -> object: ...


class Nowhere:
    """A writer for bytes that are only to be looked at."""

    def write(self, data: bytes, /) -> None:
        """Forget them."""


@dataclasses.dataclass(frozen=True, slots=True)
class PipeResult:
    """What passed: size, hashes in hex, and gate one's findings."""

    size_bytes: int
    md5: str | None
    hash_algorithm: str
    hash_value: str
    facts: inspect.Facts


def pump(
    reader: limit.Reader,
    writer: Writer,
    *,
    disk_format: str,
    cap_bytes: int | None = None,
    expected_bytes: int | None = None,
    container_format: str | None = "bare",
    virtual_cap_bytes: int = inspect.VIRTUAL_CAP_BYTES,
    unpacked_cap_bytes: int = container.UNPACKED_CAP_BYTES,
    hash_algorithm: str = "sha512",
    md5: bool = True,
    progress: Callable[[int], None] | None = None,
    begin: Callable[[digest.Digest], None] | None = None,
) -> PipeResult:
    """Move all of `reader` into `writer`, which the caller then commits.

    `progress` is told the bytes so far after each block; what it raises ends the pump. `begin` gets
    what hashes them, which has a block before `writer` has it. Raises
    UnsupportedImage, TooLarge, InvalidRequest, and what the two ends raise. Not to be repeated
    with the same writer.
    """
    inspector = container.inspector(
        disk_format, container_format, virtual_cap_bytes, unpacked_cap_bytes
    )
    source = limit.LimitedReader(reader, cap_bytes=cap_bytes, expected_bytes=expected_bytes)
    size = 0
    with digest.Digest(hash_algorithm, md5=md5) as hashes:
        if begin is not None:
            begin(hashes)
        for block in _blocks(source):
            inspector.feed(block)
            hashes.update(block)
            writer.write(block)
            size += len(block)
            if progress is not None:
                progress(size)
        facts = inspector.finish(size)
        digests = hashes.finish()
    return PipeResult(size, digests.md5, digests.algorithm, digests.value, facts)


def carry(reader: limit.Reader, writer: Writer, progress: Callable[[int], None]) -> int:
    """Move all of `reader` into `writer` without a look at it; how many bytes that were.

    For bytes that are judged before anybody may use them. `progress` as in `pump`.
    """
    count = 0
    for block in _blocks(reader):
        writer.write(block)
        count += len(block)
        progress(count)
    return count


def _blocks(source: limit.Reader) -> Iterator[bytes]:
    """Yield full blocks however small the reads are; the last may be short."""
    while data := source.read(BLOCK_BYTES):
        if len(data) < BLOCK_BYTES:
            data = _fill(source, data)
        yield data


def _fill(source: limit.Reader, start: bytes) -> bytes:
    block = bytearray(start)
    while len(block) < BLOCK_BYTES:
        data = source.read(BLOCK_BYTES - len(block))
        if not data:
            break
        block += data
    return bytes(block)
