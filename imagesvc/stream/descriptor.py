"""What the OVF descriptor and the manifest inside of an OVA (DMTF DSP0243) name."""

import dataclasses
import re

from imagesvc.stream import envelope
from imagesvc.stream.format import refusal

BYTES_MAX = envelope.BYTES_MAX
_DIGEST = re.compile(r"(SHA1|SHA256|SHA512) ?\((.+)\) ?= ?([0-9A-Fa-f]+)")
_PLAIN = ("", "identity")


@dataclasses.dataclass(frozen=True, slots=True)
class File:
    """A file of the archive. `packer` is what it is packed with, empty for nothing."""

    id: str
    name: str
    packer: str = ""
    split: bool = False


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
        self.envelope = envelope.parse(data)
        self.files: dict[str, File] = {}
        for one in self.envelope.every("File"):
            self._take_file(one.attributes)
        self.disks = [_disk(one.attributes) for one in self.envelope.every("Disk")]
        named = {one.file_id for one in self.disks if one.file_id}
        if not named or named - self.files.keys():
            raise refusal.unsafe("the OVF descriptor names no disk, or one that is no file.")
        if len(self.names) != len(self.files):
            raise refusal.unsafe("the OVF descriptor names a file twice.")
        self.disk_files = {self.files[one].name: self.files[one] for one in named}

    @property
    def names(self) -> set[str]:
        """Names of all files."""
        return {one.name for one in self.files.values()}

    def _take_file(self, own: dict[str, str]) -> None:
        one = own.get("id", "")
        if not one or one in self.files or "href" not in own:
            raise refusal.unsafe("a file of the OVF descriptor has no id of its own, or no name.")
        packer = own.get("compression", "")
        self.files[one] = File(
            one, own["href"], "" if packer in _PLAIN else packer, "chunkSize" in own
        )


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
