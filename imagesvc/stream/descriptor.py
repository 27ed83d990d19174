"""OVF descriptors and manifests inside of an OVA (DMTF DSP0243), read without trust."""

import re
from typing import NoReturn
from xml.parsers import expat

from imagesvc.stream.format import refusal

BYTES_MAX = 1 << 20
_NAMESPACE = re.compile(r"http://schemas\.dmtf\.org/ovf/envelope/[12]")
_DEPTH_MAX, _ELEMENTS_MAX = 64, 20_000
_DIGEST = re.compile(r"(SHA1|SHA256|SHA512) ?\((.+)\) ?= ?([0-9A-Fa-f]+)")


class Descriptor:
    """What an .ovf names: `files` by id, and which of them are disks."""

    def __init__(self, data: bytes) -> None:
        """Raises UnsupportedImage for what is no plain OVF: any DTD, or another encoding."""
        self.files: dict[str, str] = {}
        self.disks: set[str] = set()
        self._depth = self._elements = 0
        parser = expat.ParserCreate("UTF-8", namespace_separator=" ")
        parser.StartDoctypeDeclHandler = _refuse_declarations
        parser.EntityDeclHandler = _refuse_declarations
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        try:
            data.decode("utf-8")
            parser.Parse(data, True)
        except (expat.ExpatError, ValueError) as exc:
            # Whatever the parser finds wrong is wrong with the descriptor.
            raise refusal.unsafe("the OVF descriptor is not readable.") from exc
        unknown = self.disks - self.files.keys()
        if unknown or not self.disks:
            raise refusal.unsafe("the OVF descriptor names no disk, or one that is no file.")
        if len(set(self.files.values())) != len(self.files):
            raise refusal.unsafe("the OVF descriptor names a file twice.")

    @property
    def disk_names(self) -> frozenset[str]:
        """Names of the entries that are disks."""
        return frozenset(self.files[one] for one in self.disks)

    def _start(self, element: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        self._elements += 1
        if self._depth > _DEPTH_MAX or self._elements > _ELEMENTS_MAX:
            raise refusal.unsafe("the OVF descriptor is too deep or too long.")
        space, _, name = element.rpartition(" ")
        if self._depth == 1 and not (name == "Envelope" and _NAMESPACE.fullmatch(space)):
            raise refusal.unsafe("the OVF descriptor is no OVF envelope.")
        own = {key.rpartition(" ")[2]: value for key, value in attributes.items()}
        if len(own) != len(attributes):
            raise refusal.unsafe("the OVF descriptor says one thing twice.")
        if name == "File":
            self._take_file(own)
        elif name == "Disk":
            if "parentRef" in own:
                raise refusal.unsafe("a disk of the OVF descriptor needs a parent disk.")
            if "fileRef" in own:
                self.disks.add(own["fileRef"])

    def _end(self, element: str) -> None:
        self._depth -= 1

    def _take_file(self, own: dict[str, str]) -> None:
        one = own.get("id", "")
        if not one or one in self.files or "href" not in own:
            raise refusal.unsafe("a file of the OVF descriptor has no id of its own, or no name.")
        if own.get("compression", "identity") not in ("", "identity") or "chunkSize" in own:
            raise refusal.unsafe("files of the OVF descriptor are packed or split.")
        self.files[one] = own["href"]


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


def _refuse_declarations(*_: object) -> NoReturn:
    raise refusal.unsafe("the OVF descriptor declares a document type or entities.")
