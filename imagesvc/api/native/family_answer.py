"""What the API answers about families."""

import datetime

from imagesvc.api.native.answer import Answer
from imagesvc.domain.state import ImageStatus


class Family(Answer):
    """A family and its newest image; `pinned`: an alias names it, which was moved at `moved_at` from
    `former_image_id`; else the highest version is the newest."""

    name: str
    project_id: str
    image_id: str | None
    version: str | None
    pinned: bool
    former_image_id: str | None
    moved_at: datetime.datetime | None


class FamilyVersion(Answer):
    """One image of a family; `provided_until` is its promise."""

    image_id: str
    name: str | None
    version: str | None
    status: ImageStatus
    hidden: bool
    created_at: datetime.datetime
    deprecated_at: datetime.datetime | None
    provided_until: datetime.datetime | None


class FamilyDetail(Family):
    """A family with its images, highest version first."""

    versions: list[FamilyVersion]


class FamilyPage(Answer):
    """Families by name; `next` is the marker of the next page."""

    families: list[Family]
    next: str | None


class OneFamily(Answer):
    """One family."""

    family: Family


class OneFamilyDetail(Answer):
    """One family with its images."""

    family: FamilyDetail
