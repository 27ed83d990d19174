"""What the OVF descriptor and the manifest inside of an OVA (DMTF DSP0243) name."""

import dataclasses
import re

from imagesvc.stream import ovf
from imagesvc.stream.format import refusal

BYTES_MAX = ovf.BYTES_MAX
_DIGEST = re.compile(r"(SHA1|SHA256|SHA512) ?\((.+)\) ?= ?([0-9A-Fa-f]+)")
# Names of files: flat, plain, and no options of a tool.
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9 ._()+-]{0,99}")
_PLAIN = ("", "identity")
CHUNKS_MAX = 64
# Files, and entries of all of them: no archive may have more.
_ENTRIES_MAX = 64


@dataclasses.dataclass(frozen=True, slots=True)
class File:
    """A file. `packer` is what it is packed with, empty for nothing.

    One that is split has its length, and that of its chunks, of which each is an entry.
    """

    id: str
    name: str
    packer: str = ""
    size_bytes: int = 0
    chunk_bytes: int = 0

    @property
    def entries(self) -> dict[str, "Chunk"]:
        """Name in the archive -> what of the file is there, in order."""
        if not self.chunk_bytes:
            return {self.name: Chunk(self)}
        count = -(-self.size_bytes // self.chunk_bytes)
        sizes = [self.chunk_bytes] * (count - 1)
        sizes.append(self.size_bytes - sum(sizes))
        return {
            f"{self.name}.{n:09}": Chunk(self, n, n == count - 1, size)
            for n, size in enumerate(sizes)
        }


@dataclasses.dataclass(frozen=True, slots=True)
class Chunk:
    """Part `number` of a file; `size_bytes` is None for one that is all of it, of any length."""

    file: File
    number: int = 0
    last: bool = True
    size_bytes: int | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Disk:
    """A disk; `file_id` is empty for one that begins empty, `format` is a URI."""

    id: str
    file_id: str
    format: str


class Descriptor:
    """What an .ovf names: `files` by id, and `disks` in its order."""

    def __init__(self, data: bytes) -> None:
        """Raises UnsupportedImage for what is no plain OVF, or names things that are not there."""
        self.envelope = ovf.parse(data)
        self.files: dict[str, File] = {}
        for one in self.envelope.every("File"):
            self._take_file(one.attributes)
        self.disks = [_disk(one.attributes) for one in self.envelope.every("Disk")]
        named = {one.file_id for one in self.disks if one.file_id}
        if not named or named - self.files.keys():
            raise refusal.unsafe("the OVF descriptor names no disk, or one that is no file.")
        self.entries: dict[str, Chunk] = {}
        for file in self.files.values():
            entries = file.entries
            if entries.keys() & self.entries.keys():
                raise refusal.unsafe("the OVF descriptor names a file twice.")
            self.entries |= entries
            if len(self.entries) > _ENTRIES_MAX:
                raise refusal.unsafe("the OVF descriptor names too many files.")
        self.disk_names = frozenset(self.files[one].name for one in named)

    def _take_file(self, own: dict[str, str]) -> None:
        one = own.get("id", "")
        if len(self.files) == _ENTRIES_MAX:
            raise refusal.unsafe("the OVF descriptor names too many files.")
        if not one or one in self.files or "href" not in own:
            raise refusal.unsafe("a file of the OVF descriptor has no id of its own, or no name.")
        if not NAME.fullmatch(own["href"]):
            raise refusal.unsafe("the OVF descriptor names a file outside of the OVA.")
        packer = own.get("compression", "")
        size_bytes = chunk_bytes = 0
        if "chunkSize" in own:
            size_bytes, chunk_bytes = _number(own.get("size", "")), _number(own["chunkSize"])
            if not 0 < size_bytes <= CHUNKS_MAX * chunk_bytes:
                raise refusal.unsafe("a file of the OVF descriptor is split into no or many parts.")
        packer = "" if packer in _PLAIN else packer
        self.files[one] = File(one, own["href"], packer, size_bytes, chunk_bytes)


def _number(text: str) -> int:
    return int(text) if re.fullmatch(r"[0-9]{1,18}", text) else 0


def _disk(own: dict[str, str]) -> Disk:
    if "parentRef" in own:
        raise refusal.unsafe("a disk of the OVF descriptor needs a parent disk.")
    return Disk(own.get("diskId", ""), own.get("fileRef", ""), own.get("format", ""))


def read_manifest(data: bytes) -> dict[tuple[str, str], str]:
    """Digests by (algorithm of hashlib, name). Raises UnsupportedImage."""
    found: dict[tuple[str, str], str] = {}
    for line in data.decode("utf-8", "replace").splitlines():
        if not line.strip():
            continue
        match = _DIGEST.fullmatch(line.strip())
        if match is None or (match[1].lower(), match[2]) in found:
            raise refusal.unsafe("the manifest of the OVA is not readable.")
        found[match[1].lower(), match[2]] = match[3].lower()
    return found
