"""What the API answers about images."""

import datetime

from imagesvc.api.native.answer import Answer
from imagesvc.api.native.catalog_answer import Provenance
from imagesvc.domain.image import ImageKind
from imagesvc.domain.state import ImageStatus


class ImageCopy(Answer):
    """A copy of a disk; `number` counts those that one store keeps. `fault` is what a scrub found
    at `found_at`; without it the copy counts as good."""

    store: str
    number: int
    good: bool
    fault: str | None
    found_at: datetime.datetime | None


class ImageDisk(Answer):
    """A disk of an image, its copies in the order in which they are read."""

    index: int
    role: str
    disk_format: str
    size_bytes: int
    virtual_size_bytes: int | None
    good_copies: int
    copies: list[ImageCopy]


class Guest(Answer):
    """What was found by looking into the first disk; null and empty: not known. `firmware` are
    those that start it, `min_disk_gib` is what a server needs for it; `machine_name`, `vcpus` and
    `memory_mib` are what an OVA says of its machine. `differs` names attributes of
    which the image says something else; what callers said stays."""

    os_type: str | None
    os_distro: str | None
    os_version: str | None
    os_name: str | None
    architecture: str | None
    firmware: list[str]
    virtio: bool | None
    cloud_init: bool | None
    label: str | None
    file_systems: list[str]
    machine_name: str | None
    vcpus: int | None
    memory_mib: int | None
    min_disk_gib: int | None
    differs: list[str]


class Image(Answer):
    """An image as it is kept; `good_copies` are those of the disk that has the fewest, null before
    it has bytes. `foreign`: its bytes are at a URL elsewhere. `key_id` is the key of the KMS under
    which its owner has it encrypted. Until `provided_until` nothing deletes it. `provenance` is of
    images of the catalog. From `deprecated_at` on it is not to be used for anything new:
    `replacement_id`, the newest of its family, is. `last_used_at` is true to the hour;
    `parent_image_id` is the image that it was made of. `warnings` are sentences for people."""

    id: str
    name: str | None
    status: ImageStatus
    kind: ImageKind
    size_bytes: int | None
    damaged: bool
    good_copies: int | None
    stores: list[str]
    foreign: bool
    encrypted: bool
    key_id: str | None
    provided_until: datetime.datetime | None
    family: str | None
    family_version: str | None
    deprecated_at: datetime.datetime | None
    replacement_id: str | None
    last_used_at: datetime.datetime | None
    parent_image_id: str | None
    warnings: list[str]
    found: Guest | None
    provenance: Provenance | None
    disks: list[ImageDisk]


class Verdict(Answer):
    """Whether a project may do something with an image; `rule` is that of the policy, if one decides."""

    action: str
    allowed: bool
    cause: str
    rule: str


class Explanation(Answer):
    """What a user of a project with these roles can do with an image."""

    image_id: str
    project_id: str
    roles: list[str]
    verdicts: list[Verdict]


class OneExplanation(Answer):
    """Why a project can or cannot use an image."""

    explanation: Explanation


class Member(Answer):
    """A project that the image is offered to, and its answer."""

    project_id: str
    status: str


class Use(Answer):
    """Something that was made of an image, or reads it; `kind` is server, volume, image, job,
    region-copy (`name` is the region) or family (`name` is the image's version, `state` newest or older)."""

    kind: str
    id: str
    name: str | None
    project_id: str | None
    state: str


class Impact(Answer):
    """What uses an image; `unknown` are backends whose things are not listed."""

    image_id: str
    members: list[Member]
    uses: list[Use]
    unknown: list[str]


class OneImpact(Answer):
    """What uses one image."""

    impact: Impact


class OneImage(Answer):
    """How one image is kept."""

    image: Image
