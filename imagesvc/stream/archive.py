"""OVA archives (POSIX ustar): headers are walked in passing, nothing is extracted by name."""

import dataclasses
import hashlib
import re
from collections.abc import Callable
from typing import Protocol

from imagesvc import errors
from imagesvc.stream import descriptor
from imagesvc.stream.format import refusal

_BLOCK = 512
_ENTRIES_MAX = 64
_TEXTS = ("ovf", "mf", "cert")
_ZEROS_MAX = 1 << 20  # behind the last entry
_ALGORITHMS = ("sha1", "sha256", "sha512")


class Sink(Protocol):
    """Takes the bytes of one disk in order, and is told when they end."""

    def feed(self, block: bytes, /) -> None: ...
    def end(self, size_bytes: int, /) -> None: ...


# Called with what the descriptor says as soon as a disk begins, and with its length.
OpenDisk = Callable[[descriptor.File, int], Sink]


class _Hash(Protocol):
    def update(self, data: bytes, /) -> None: ...
    def hexdigest(self) -> str: ...


@dataclasses.dataclass(slots=True)
class _Entry:
    name: str
    size: int
    left: int
    hashes: dict[str, _Hash]
    text: bytearray | None = None
    sink: Sink | None = None
    chunk: descriptor.Chunk | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class _Split:
    """A disk of which more is to come."""

    file: descriptor.File
    following: int
    sink: Sink


class Archive:
    """Takes an OVA in blocks; each disk goes to a sink of its own. One thread.

    The first entry is the one .ovf; all others are files that it names, a manifest, or a
    certificate. `ovf` is there once the first entry has passed, and `begin` is told of it.
    Raises UnsupportedImage; TooLarge above `cap_bytes` in all entries together.
    """

    def __init__(
        self,
        open_disk: OpenDisk,
        *,
        cap_bytes: int,
        begin: Callable[[descriptor.Descriptor], object] = lambda _: None,
    ) -> None:
        self._open_disk = open_disk
        self._told = begin
        self._cap = cap_bytes
        self._bytes = 0
        self._pending = b""
        self._padding = 0
        self._zeros = 0
        self._entry: _Entry | None = None
        self.ovf: descriptor.Descriptor | None = None
        self._split: _Split | None = None
        self._digests: dict[tuple[str, str], str] = {}
        self._names: dict[str, str] = {}
        self._manifest: dict[tuple[str, str], str] = {}

    def feed(self, block: bytes) -> None:
        """Take the next bytes. Raises UnsupportedImage, TooLarge."""
        view = memoryview(block)
        while view:
            if self._padding:
                taken = min(self._padding, len(view))
                self._padding -= taken
            elif self._entry is not None:
                taken = min(self._entry.left, len(view))
                self._take(self._entry, bytes(view[:taken]))
            else:
                taken = min(_BLOCK - len(self._pending), len(view))
                self._pending += view[:taken]
                if len(self._pending) == _BLOCK:
                    header, self._pending = self._pending, b""
                    self._begin(header)
            view = view[taken:]

    def finish(self) -> None:
        """Judge the whole after its last byte. Raises UnsupportedImage."""
        if self._entry is not None or self._pending or self._padding or self._zeros < 2 * _BLOCK:
            raise refusal.unsafe("the OVA ends too early.")
        if self.ovf is None or not self.ovf.entries.keys() <= set(self._names.values()):
            raise refusal.unsafe("the OVF descriptor names a file that is not in the OVA.")
        for key, value in self._manifest.items():
            if self._digests.get(key) != value:
                raise refusal.unsafe(f"the manifest of the OVA does not fit {key[1]}.")

    def _begin(self, header: bytes) -> None:
        if not any(header):
            self._zeros += _BLOCK
            if self._zeros > _ZEROS_MAX:
                raise refusal.unsafe("the OVA does not end after its last entry.")
            return
        if self._zeros:
            raise refusal.unsafe("something follows the end of the OVA.")
        name, size = _read_header(header)
        if name.lower() in self._names or len(self._names) == _ENTRIES_MAX:
            raise refusal.unsafe("the OVA has two entries of one name, or too many.")
        self._names[name.lower()] = name
        self._bytes += size
        if self._bytes > self._cap:
            raise errors.TooLarge(
                what="The unpacked image",
                limit=self._cap,
                unit="bytes",
                reason=errors.Reason.SIZE_CAP,
            )
        # Before the manifest comes nobody knows which of them it will name.
        named = [word for word, file in self._manifest if file == name]
        hashes: dict[str, _Hash] = {
            word: hashlib.new(word, usedforsecurity=word != "sha1")
            for word in (named if self._manifest else _ALGORITHMS)
        }
        self._entry = _Entry(name, size, size, hashes)
        self._place(self._entry)
        if not size:
            self._end(self._entry)

    def _place(self, entry: _Entry) -> None:
        """Decide by its name what an entry is."""
        kind = entry.name.lower().rpartition(".")[2]
        first = len(self._names) == 1
        if first != (kind == "ovf"):
            raise refusal.unsafe("the first entry of an OVA must be its one OVF descriptor.")
        if self.ovf is not None and entry.name in self.ovf.entries:
            entry.chunk = self.ovf.entries[entry.name]
            if entry.chunk.file.name in self.ovf.disk_names:
                entry.sink = self._sink(entry, entry.chunk)
        elif kind in _TEXTS:
            if entry.size > descriptor.BYTES_MAX:
                raise refusal.unsafe(f"the .{kind} of the OVA is too large.")
            entry.text = bytearray()
        else:
            raise refusal.unsafe("the OVA holds a file that its OVF descriptor does not name.")

    def _sink(self, entry: _Entry, chunk: descriptor.Chunk) -> Sink:
        """Where a disk goes, or the next chunk of one: they come one after the other."""
        if chunk.size_bytes not in (None, entry.size):
            raise refusal.unsafe(f"{entry.name} of the OVA has another length than was said.")
        split, self._split = self._split, None
        awaited = (split.file, split.following) if split else (chunk.file, 0)
        if awaited != (chunk.file, chunk.number):
            raise refusal.unsafe("the OVA has the parts of a split disk in another order.")
        file, size = chunk.file, chunk.file.size_bytes or entry.size
        sink = split.sink if split else self._open_disk(file, size)
        if not chunk.last:
            self._split = _Split(file, chunk.number + 1, sink)
        return sink

    def _take(self, entry: _Entry, data: bytes) -> None:
        entry.left -= len(data)
        for one in entry.hashes.values():
            one.update(data)
        if entry.text is not None:
            entry.text += data
        if entry.sink is not None:
            entry.sink.feed(data)
        if not entry.left:
            self._end(entry)

    def _end(self, entry: _Entry) -> None:
        self._entry = None
        self._padding = -entry.size % _BLOCK
        for word, one in entry.hashes.items():
            self._digests[word, entry.name] = one.hexdigest()
        if entry.sink is not None:
            if not entry.size:
                raise refusal.unsafe("a disk of the OVA is empty.")
            if entry.chunk is not None and entry.chunk.last:
                entry.sink.end(entry.chunk.file.size_bytes or entry.size)
        elif entry.text is not None and self.ovf is None:
            self.ovf = descriptor.Descriptor(bytes(entry.text))
            self._told(self.ovf)
        elif entry.text is not None and entry.name.lower().endswith(".mf"):
            if self._manifest:
                raise refusal.unsafe("the OVA has two manifests.")
            self._manifest = descriptor.read_manifest(bytes(entry.text))


def _read_header(header: bytes) -> tuple[str, int]:
    """Name and size of a regular file. Raises UnsupportedImage for all else."""
    if header[257:262] != b"ustar" or _number(header[148:156]) != _sum(header):
        raise refusal.unsafe("a header of the OVA is broken.")
    if header[156:157] not in (b"0", b"\0"):
        raise refusal.unsafe("the OVA holds something other than plain files.")
    name = header[:100].rstrip(b"\0").decode("latin-1")
    if not descriptor.NAME.fullmatch(name) or (
        header[345:500].rstrip(b"\0") and header[262:265] != b" \0\0"
    ):
        raise refusal.unsafe("an entry of the OVA has a name that is not taken.")
    return name, _number(header[124:136])


def _number(field: bytes) -> int:
    """An octal number, or for sizes from 8 GiB on a binary one as GNU writes it."""
    if field[0] == 0x80:
        return int.from_bytes(field[1:])
    text = field.strip(b" \0")
    if not re.fullmatch(rb"[0-7]+", text):
        raise refusal.unsafe("a number in a header of the OVA is none.")
    return int(text, 8)


def _sum(header: bytes) -> int:
    return sum(header[:148]) + 8 * 0x20 + sum(header[156:])
