"""gzip, xz and zstd as bounded streams: what comes out is counted as it comes."""

import lzma
import zlib
from collections.abc import Iterator
from typing import Protocol

import zstandard

from imagesvc import errors
from imagesvc.stream.format import refusal

_PIECE_BYTES = 1 << 20
_XZ_MEMORY_BYTES = 64 << 20
_ZSTD_WINDOW_BYTES = 1 << 27
# So little goes into zstd at a time that no more than 16 MiB come out: its smallest block has
# four bytes and stands for 128 KiB.
_ZSTD_SLICE_BYTES = 512
SIGNATURES = {b"\x1f\x8b\x08": "gzip", b"\xfd7zXZ\0": "xz", b"\x28\xb5\x2f\xfd": "zstd"}
SIGNATURE_BYTES = max(map(len, SIGNATURES))
# Packers that are told apart to refuse them by name, and inside of what was unpacked.
_OTHERS = {
    b"BZh": "bzip2",
    b"PK\x03\x04": "zip",
    b"7z\xbc\xaf\x27\x1c": "7z",
    b"\x04\x22M\x18": "lz4",
}


def packer(head: bytes) -> str:
    """Name what packed these bytes; empty if nothing known did."""
    for magic, name in (SIGNATURES | _OTHERS).items():
        if head.startswith(magic):
            return name
    return ""


class Unpacker:
    """Unpacks one stream, nothing behind it; one thread. `ended` says that it is whole.

    Raises UnsupportedImage for bytes that are broken, ask for too much memory or follow the
    stream; TooLarge when more than `cap_bytes` came out.
    """

    def __init__(self, cap_bytes: int) -> None:
        self._cap = cap_bytes
        self._count = 0
        self._head = b""
        self._stream: _Stream | None = None
        self.ended = False

    def feed(self, block: bytes) -> Iterator[bytes]:
        """Take packed bytes and give what they hold, a piece at a time."""
        if self._stream is None:
            self._head += block
            if len(self._head) < SIGNATURE_BYTES:
                return
            block, self._stream = self._head, self._begin()
        try:
            for piece in self._stream.pieces(block):
                self._count += len(piece)
                if self._count > self._cap:
                    raise errors.TooLarge(
                        what="The unpacked image",
                        limit=self._cap,
                        unit="bytes",
                        reason=errors.Reason.SIZE_CAP,
                    )
                if piece:
                    yield piece
        except (zlib.error, lzma.LZMAError, EOFError, zstandard.ZstdError, MemoryError) as exc:
            # Whatever the library finds wrong is wrong with the image.
            raise refusal.unsafe("the packed bytes are broken or need too much memory.") from exc
        self.ended = self._stream.ended
        if self._stream.rest:
            raise refusal.unsafe("something follows the packed bytes.")

    def _begin(self) -> "_Stream":
        name = packer(self._head)
        if name not in _STREAMS:
            seen = f"packed with {name}" if name else "not packed"
            raise refusal.mismatch(f"it is {seen}; gzip, xz and zstd are taken.")
        return _STREAMS[name]()


class _Stream(Protocol):
    ended: bool
    rest: bool

    def pieces(self, block: bytes) -> Iterator[bytes]: ...


class _Gzip:
    def __init__(self) -> None:
        self._unpacker = zlib.decompressobj(wbits=31)
        self.ended = self.rest = False

    def pieces(self, block: bytes) -> Iterator[bytes]:
        self.rest = self.ended and bool(block)
        while block and not self.ended:
            yield self._unpacker.decompress(block, _PIECE_BYTES)
            block = self._unpacker.unconsumed_tail
            self.ended = self._unpacker.eof
            self.rest = bool(self._unpacker.unused_data)


class _Xz:
    def __init__(self) -> None:
        self._unpacker = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY_BYTES)
        self.ended = self.rest = False

    def pieces(self, block: bytes) -> Iterator[bytes]:
        self.rest = self.ended and bool(block)
        while not self.ended and (block or not self._unpacker.needs_input):
            yield self._unpacker.decompress(block, _PIECE_BYTES)
            block = b""
            self.ended = self._unpacker.eof
            self.rest = self.ended and bool(self._unpacker.unused_data)


class _Zstd:
    def __init__(self) -> None:
        tool = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW_BYTES)
        self._unpacker = tool.decompressobj()
        self.ended = self.rest = False

    def pieces(self, block: bytes) -> Iterator[bytes]:
        for at in range(0, len(block), _ZSTD_SLICE_BYTES):
            if self.ended:
                self.rest = True
                return
            yield self._unpacker.decompress(block[at : at + _ZSTD_SLICE_BYTES])
            self.ended = self._unpacker.eof
            self.rest = self.ended and bool(self._unpacker.unused_data)


_STREAMS: dict[str, type[_Gzip] | type[_Xz] | type[_Zstd]] = {
    "gzip": _Gzip, "xz": _Xz, "zstd": _Zstd,
}  # fmt: skip
