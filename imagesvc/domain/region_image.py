"""Images that come from another region: what it says of them, and how far they are."""

import dataclasses
import datetime
from collections.abc import Mapping, Sequence
from typing import Any

from imagesvc import errors
from imagesvc.domain import disk_format
from imagesvc.domain.image import ImageKind, NewImage

DISKS_MAX = 64
TOKEN_LENGTH_MAX = 255
ROLES = ("system", "data")
KINDS = tuple(str(kind) for kind in ImageKind)


@dataclasses.dataclass(frozen=True, slots=True)
class RegionDisk:
    """One disk, its bytes as they lie in the source region; `upload_id` is where they go here."""

    index: int
    role: str
    disk_format: str
    size_bytes: int
    hash_algorithm: str
    hash_value: str
    upload_id: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class NewRegionImage:
    """What the other region asks for. The same `request_token` twice is the same image.

    `key_id` is a key here under which the bytes are to be encrypted.
    """

    request_token: str
    source_image_id: str
    image: NewImage
    disks: tuple[RegionDisk, ...]
    key_id: str | None = None
    store_id: str | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class RegionImage:
    """An image that comes, or came, from another region."""

    image_id: str
    agency_id: str
    project_id: str
    source_region: str
    source_project_id: str
    source_image_id: str
    request_token: str
    disks: tuple[RegionDisk, ...]
    created_at: datetime.datetime
    job_id: str | None = None


def check_disks(disks: Sequence[RegionDisk]) -> None:
    """Raise InvalidRequest unless there are disks, each with a number of its own, from 0 on."""
    if not 0 < len(disks) <= DISKS_MAX:
        raise errors.InvalidRequest(f"An image has 1 to {DISKS_MAX} disks.")
    if [disk.index for disk in disks] != list(range(len(disks))):
        raise errors.InvalidRequest("The disks are given in order, and numbered from 0.")
    for disk in disks:
        if disk.disk_format not in disk_format.DISK_FORMATS:
            raise errors.InvalidRequest(f"There is no disk format {disk.disk_format}.")


def plain(disks: Sequence[RegionDisk]) -> list[dict[str, Any]]:
    """The disks as JSON."""
    return [dataclasses.asdict(disk) for disk in disks]


def disks_of(found: Sequence[Mapping[str, Any]]) -> tuple[RegionDisk, ...]:
    """The disks of `plain`."""
    return tuple(RegionDisk(**each) for each in found)
