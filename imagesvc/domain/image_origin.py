"""Where a new image's bytes come from: a URL, or an object in a bucket of the caller's."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from imagesvc import errors
from imagesvc.domain import disk_format
from imagesvc.domain.image import NewImage
from imagesvc.domain.job import JobType

# Kept as QCOW2 unless something else is asked for: hardly anything reads them today, or they are no disk.
CONVERTED = frozenset({"qcow", "qed", "ova"})
CONVERTED_TO = "qcow2"
DISK_TARGETS = ("raw", "qcow2", "vmdk", "vhd", "vhdx", "vdi")
OVA = "ova"  # as the format of what comes: a machine, taken apart into its disks


@dataclasses.dataclass(frozen=True, slots=True)
class UrlOrigin:
    """What is at a URL, which may be a signed one and so a secret."""

    url: str = dataclasses.field(repr=False)
    job_type = JobType.CREATE_FROM_URL


@dataclasses.dataclass(frozen=True, slots=True)
class BucketOrigin:
    """An object, read with the key of an object store of the caller's project."""

    object_store_id: str
    bucket: str
    key: str
    job_type = JobType.CREATE_FROM_BUCKET


@dataclasses.dataclass(frozen=True, slots=True)
class NewImport:
    """What a caller asks for.

    `source_format` is None if it is to be found by looking. `digest` is an algorithm and a hex
    value, `size_bytes` a length: both of the bytes as they come, packed or not. `target_format`
    is None to keep the bytes as they are. `stores` of () is the default store.
    """

    image: NewImage
    origin: UrlOrigin | BucketOrigin
    source_format: str | None = None
    target_format: str | None = None
    digest: tuple[str, str] | None = None
    size_bytes: int | None = None
    stores: tuple[str, ...] = ()

    @property
    def job_type(self) -> JobType:
        """The kind of job that does it."""
        return JobType.CREATE_FROM_OVA if self.source_format == OVA else self.origin.job_type

    @property
    def format_kept(self) -> str | None:
        """The format that the image will have; None as long as nobody knows."""
        return self.target_format or (
            CONVERTED_TO if self.source_format in CONVERTED else self.source_format
        )

    def arguments(self) -> dict[str, Any]:
        """What a job keeps of it, but for stores, and what is sealed."""
        origin = self.origin
        place = dataclasses.asdict(origin) if isinstance(origin, BucketOrigin) else {}
        named = {
            "source_format": self.source_format,
            "target_format": self.format_kept if self.source_format == OVA else self.target_format,
            "digest": list(self.digest) if self.digest else None,
            "expected_bytes": self.size_bytes,
        }
        kept = {name: value for name, value in named.items() if value is not None}
        return {"all_must_succeed": True, "unpack": True, **kept, **place}


def check(wanted: NewImport) -> None:
    """Raise InvalidRequest for formats that do not go together."""
    if wanted.source_format == OVA and len(wanted.stores) > 1:
        raise errors.InvalidRequest("The disks of an OVA go into one store.")
    if wanted.image.container_format not in disk_format.WRAPPING_CONTAINERS:
        return
    if wanted.source_format is None:
        raise errors.InvalidRequest("Say the disk_format of what is in a container.")
    if wanted.target_format is not None:
        raise errors.InvalidRequest("What is in a container is kept as it is.")
    if wanted.source_format in CONVERTED:
        raise errors.InvalidRequest(
            f"A disk of format {wanted.source_format} would become {CONVERTED_TO}, and what is in "
            "a container is kept as it is."
        )


def check_target(wanted: str, container_format: str) -> None:
    """Raise InvalidRequest if the disks of an OVA cannot become an image of these formats."""
    if container_format in disk_format.WRAPPING_CONTAINERS or wanted not in DISK_TARGETS:
        raise errors.InvalidRequest(
            "An OVA becomes an image of container_format bare and one of the disk formats: "
            f"{', '.join(DISK_TARGETS)}."
        )


def needs_conversion(args: Mapping[str, Any], found: str) -> str:
    """The format that bytes of format `found` become; empty if they stay as they are."""
    wanted = args.get("target_format") or (CONVERTED_TO if found in CONVERTED else found)
    return "" if wanted == found else str(wanted)
