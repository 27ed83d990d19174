"""Exports: which objects an image becomes in a bucket, and what stands beside them."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any

from imagesvc import errors
from imagesvc.domain import object_store
from imagesvc.domain.image import Image, ImageDisk, ImageKind
from imagesvc.domain.object_store import DIGEST_SUFFIX

MANIFEST = "manifest.json"
MANIFEST_VERSION = 1
# What each format is called at the end of a name.
_ENDINGS = {
    "vhd": "vhd",
    "vhdx": "vhdx",
    "vmdk": "vmdk",
    "vdi": "vdi",
    "qcow2": "qcow2",
    "raw": "raw",
}


@dataclasses.dataclass(frozen=True, slots=True)
class ExportRequest:
    """What a caller asks for. `disk` None: all of them. `disk_format` None: the bytes as they are
    stored; `variant` is a kind of the format. `replace`: what is there may be written over."""

    image_id: str
    object_store_id: str
    bucket: str
    key: str
    disk: int | None = None
    disk_format: str | None = None
    variant: str = ""
    replace: bool = False

    def arguments(self) -> dict[str, Any]:
        """What a job keeps of it."""
        kept = dataclasses.asdict(self)
        del kept["image_id"]
        return kept


@dataclasses.dataclass(frozen=True, slots=True)
class Part:
    """One disk and the object that it becomes."""

    index: int
    key: str


def variant(disk_format: str | None, compression: str | None, subformat: str | None) -> str:
    """The kind of the format, from the words that callers have. Raises InvalidRequest."""
    if compression and disk_format != "qcow2":
        raise errors.InvalidRequest("compression is of the format qcow2 alone.")
    if subformat and disk_format != "vhd":
        raise errors.InvalidRequest("subformat is of the format vhd alone.")
    return compression or subformat or ""


def is_whole(args: Mapping[str, Any], image: Image, disks: Sequence[ImageDisk]) -> bool:
    """Whether several objects and a manifest are made, and `key` is the folder that they are in."""
    several = len(disks) > 1 or image.kind == ImageKind.WHOLE_MACHINE
    return args["disk"] is None and several


def plan(args: Mapping[str, Any], image: Image, disks: Sequence[ImageDisk]) -> tuple[Part, ...]:
    """The objects of an export, in the order in which they are made. Raises DiskNotFound."""
    if not is_whole(args, image, disks):
        wanted = args["disk"] or 0
        if wanted not in [disk.index for disk in disks]:
            raise errors.DiskNotFound(image_id=image.id, disk=wanted)
        return (Part(wanted, args["key"]),)
    return tuple(
        Part(disk.index, f"{args['key']}/disk-{disk.index}.{_ending(args, disk)}")
        for disk in sorted(disks, key=lambda disk: disk.index)
    )


def check_keys(args: Mapping[str, Any], parts: Sequence[Part]) -> None:
    """Raise InvalidRequest if one of the keys would be too long."""
    for part in parts:
        object_store.check_key(part.key + DIGEST_SUFFIX)
    object_store.check_key(manifest_key(args))


def manifest_key(args: Mapping[str, Any]) -> str:
    """Where the manifest of several disks lies."""
    return f"{args['key']}/{MANIFEST}"


def digest_text(key: str, sha256: str) -> bytes:
    """What lies beside an object, as `sha256sum --check` reads it in the object's folder."""
    return f"{sha256}  {key.rpartition('/')[2]}\n".encode()


def manifest(image: Image, disks: Sequence[Mapping[str, Any]]) -> bytes:
    """The list of a whole machine's disks; written when all of them are there."""
    document = {
        "version": MANIFEST_VERSION,
        "image": {
            "id": image.id, "name": image.name, "kind": str(image.kind), "os_type": image.os_type,
            "architecture": image.architecture, "min_disk_gib": image.min_disk_gib,
            "min_ram_mib": image.min_ram_mib, "properties": dict(image.properties),
        },
        "disks": list(disks),
    }  # fmt: skip
    return json.dumps(document, indent=2, sort_keys=True).encode() + b"\n"


def _ending(args: Mapping[str, Any], disk: ImageDisk) -> str:
    found = args["disk_format"] or disk.disk_format
    return _ENDINGS.get(found, found)
