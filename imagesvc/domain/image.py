"""The image: its fields, their limits, its disks."""

import dataclasses
import datetime
import enum
from collections.abc import Mapping

from imagesvc.domain import promise
from imagesvc.domain.encryption_key import ImageKey
from imagesvc.domain.guest import Guest
from imagesvc.domain.state import ImageStatus

NAME_LENGTH_MAX = 255
TAG_LENGTH_MAX = 255
PROPERTY_NAME_LENGTH_MAX = 255
PROPERTY_VALUE_BYTES_MAX = 65_535
INTEGER_MAX = 2**31 - 1
BYTES_MAX = 2**63 - 1
_BASE = "base_image_ref"


class Visibility(enum.StrEnum):
    """Who sees an image."""

    PUBLIC = "public"
    COMMUNITY = "community"
    SHARED = "shared"
    PRIVATE = "private"


class ImageKind(enum.StrEnum):
    """What an image restores."""

    SYSTEM_DISK = "system-disk"
    DATA_DISK = "data-disk"
    WHOLE_MACHINE = "whole-machine"


@dataclasses.dataclass(frozen=True, slots=True)
class Damage:
    """A copy that is not to be read; `number` counts the copies that a store keeps, from 0.

    `fault` is what was found: corrupt, missing, unreadable.
    """

    store_id: str
    storage_key: str
    number: int
    fault: str
    found_at: datetime.datetime


@dataclasses.dataclass(frozen=True, slots=True)
class ImageDisk:
    """One disk of an image; sizes in bytes, digests in hex, `storage_key` within `store_id`.

    `size_bytes` is the size of the stored bytes, `virtual_size_bytes` what a guest sees.
    """

    index: int
    role: str
    disk_format: str
    size_bytes: int
    virtual_size_bytes: int | None
    md5: str | None
    hash_algorithm: str | None
    hash_value: str | None
    locations: tuple[tuple[str, str], ...] = ()  # (store id, storage key), best first
    guest: Guest | None = None  # what was found on it
    damages: tuple[Damage, ...] = ()  # what is known to be wrong with copies at these places


@dataclasses.dataclass(frozen=True, slots=True)
class Image:
    """One image. `min_disk_gib` in GiB, `min_ram_mib` in MiB, times in UTC.

    `size_bytes`, `virtual_size_bytes`, `md5` and the hash are those of disk 0, None until
    active. `cause` says why a job that was making the image failed. `stores` are the storage
    backends that hold disk 0, in no order. `foreign_store` names the store of locations that are
    URLs elsewhere: such an image has no disk of ours, and no `stores`. From `deprecated_at` on
    it is not to be used for anything new. Until `provided_until` nothing deletes it
    (`domain/promise.py`).
    """

    id: str
    owner: str | None
    name: str | None
    status: ImageStatus
    visibility: Visibility
    created_at: datetime.datetime
    updated_at: datetime.datetime
    protected: bool = False
    hidden: bool = False
    disk_format: str | None = None
    container_format: str | None = None
    min_disk_gib: int = 0
    min_ram_mib: int = 0
    size_bytes: int | None = None
    virtual_size_bytes: int | None = None
    md5: str | None = None
    hash_algorithm: str | None = None
    hash_value: str | None = None
    kind: str = ImageKind.SYSTEM_DISK
    os_type: str | None = None
    architecture: str | None = None
    description: str | None = None
    source_server_id: str | None = None
    source_image_id: str | None = None
    job_id: str | None = None
    cause: str | None = None
    revision: int = 0
    key_id: str | None = None
    family: str | None = None
    family_version: str | None = None
    deprecated_at: datetime.datetime | None = None
    provided_until: datetime.datetime | None = None
    stores: tuple[str, ...] = ()
    foreign_store: str | None = None
    tags: tuple[str, ...] = ()
    properties: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def encrypted(self) -> bool:
        """Whether its bytes are encrypted in the stores; `key_id` is the owner's key of the KMS."""
        return self.key_id is not None


@dataclasses.dataclass(frozen=True, slots=True)
class NewImage:
    """What a caller may say of an image that is to be made.

    `key_id` names the key of the KMS under which it is to be encrypted; `image_key` is its data key
    once it has one.
    """

    id: str | None = None
    owner: str | None = None
    name: str | None = None
    visibility: Visibility = Visibility.SHARED
    protected: bool = False
    hidden: bool = False
    disk_format: str | None = None
    container_format: str | None = None
    min_disk_gib: int = 0
    min_ram_mib: int = 0
    kind: str = ImageKind.SYSTEM_DISK
    os_type: str | None = None
    architecture: str | None = None
    description: str | None = None
    key_id: str | None = None
    family: str | None = None
    family_version: str | None = None
    deprecated_at: datetime.datetime | None = None
    image_key: ImageKey | None = None
    tags: tuple[str, ...] = ()
    properties: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def with_key(self, image_id: str, image_key: ImageKey) -> "NewImage":
        """The same with that id and data key."""
        return dataclasses.replace(self, id=image_id, key_id=image_key.key_id, image_key=image_key)

    def own(self, *, by_service: bool) -> "NewImage":
        """The same but for what was only handed on of another image: promises, family, deprecation.

        Nova and Cinder give what they make of servers and volumes all properties of the image that
        these were made of. Nova names that image; `by_service`: a service shows itself beside its user.
        """
        if not by_service and _BASE not in self.properties:
            return self
        kept = {
            name: self.properties[name] for name in self.properties if name not in promise.NAMES
        }
        return dataclasses.replace(
            self, properties=kept, family=None, family_version=None, deprecated_at=None
        )
