"""What a project may have, and what it has."""

import dataclasses
import enum
from collections.abc import Mapping

from imagesvc.domain.state import ImageStatus

UNLIMITED = -1


class Resource(enum.StrEnum):
    """What is counted, by project."""

    IMAGES = "images"  # records that are neither deleted nor killed
    STORED_BYTES = "stored_bytes"  # disks of images, and what is set aside for uploads and jobs
    UPLOADS = "uploads"  # transfers into images at this moment


UNITS: Mapping[str, str] = {
    Resource.IMAGES: "images",
    Resource.STORED_BYTES: "bytes",
    Resource.UPLOADS: "uploads",
}

# Deleted images are tombstones; a killed one counts again when its job is run again.
UNCOUNTED = frozenset({ImageStatus.KILLED, ImageStatus.DELETED, ImageStatus.PENDING_DELETE})


@dataclasses.dataclass(frozen=True, slots=True)
class Quota:
    """One resource of a project. `reserved` is set aside for work that has not ended.

    A `limit` of -1 is none; `own` says that it was set for this project.
    """

    resource: Resource
    used: int
    reserved: int
    limit: int
    own: bool = False

    @property
    def room(self) -> int | None:
        """How much more fits; None if there is no limit, negative if it is passed already."""
        return None if self.limit == UNLIMITED else self.limit - self.used - self.reserved


@dataclasses.dataclass(frozen=True, slots=True)
class Change:
    """How much more a project uses or reserves of a resource; less if negative."""

    project_id: str
    resource: Resource
    used: int = 0
    reserved: int = 0


@dataclasses.dataclass(frozen=True, slots=True)
class Difference:
    """A counter that does not say what the rows say: (used, reserved) of each."""

    project_id: str
    resource: Resource
    counted: tuple[int, int]
    actual: tuple[int, int]
