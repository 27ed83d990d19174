"""A family of the catalog as its entry says: what its images are, and for how long they stay."""

import dataclasses
import datetime
from collections.abc import Mapping

GIB = 1 << 30
KEEP_DEFAULT = 3


@dataclasses.dataclass(frozen=True, slots=True)
class Promise:
    """How often a new build comes, how many builds stay usable by id, and until when.

    `keep` counts the published build; `id_until` is a day until which every id stays, `until` one
    until which the family has an image.
    """

    replace: str = "never"
    keep: int = KEEP_DEFAULT
    until: datetime.date | None = None
    id_until: datetime.date | None = None

    def properties(self) -> dict[str, str]:
        """The promise as properties of an image, in the words of the SCS; not until when it is
        provided, which is promised of what is published alone."""
        validity = str(self.id_until) if self.id_until else f"last-{self.keep}"
        return {"replace_frequency": self.replace, "uuid_validity": validity}


@dataclasses.dataclass(frozen=True, slots=True)
class CatalogFamily:
    """One family. `min_disk_gib` None is what the disk needs; `properties` come with each image.

    `off` says why it is not synced, empty if it is; with `is_faulty` because its entry is not usable,
    so that nothing else of it is known. `note` is for operators.
    """

    id: str
    title: str
    disk_format: str
    properties: Mapping[str, str] = dataclasses.field(default_factory=dict)
    promise: Promise = dataclasses.field(default_factory=Promise)
    min_disk_gib: int | None = None
    min_ram_mib: int = 0
    off: str = ""
    is_faulty: bool = False
    note: str = ""

    @property
    def enabled(self) -> bool:
        """Whether it is synced."""
        return not self.off


def faulty(name: str, cause: str) -> CatalogFamily:
    """A family whose entry cannot be used."""
    return CatalogFamily(name, name, "", off=cause, is_faulty=True)


# Days after which a new build is missing, by the word of the promise; one that is not here is never late.
REPLACE_DAYS: Mapping[str, int] = {
    "daily": 1, "weekly": 7, "monthly": 31, "quarterly": 92, "yearly": 366,
}  # fmt: skip


def min_disk_gib(family: CatalogFamily, virtual_size_bytes: int | None) -> int:
    """The least disk that an image needs, in GiB."""
    if family.min_disk_gib is not None:
        return family.min_disk_gib
    return -(-(virtual_size_bytes or 0) // GIB)


def overdue(
    family: CatalogFamily,
    now: datetime.datetime,
    *,
    published_at: datetime.datetime | None,
    checked_at: datetime.datetime | None,
    max_age_days: int,
) -> str | None:
    """Why a family is late, or None: no image, no word from its source, or no new build in time.

    A new build is missing once twice the promised time and a day have gone by. One that is off is
    never late, but for a fault of its entry.
    """
    if family.is_faulty:
        return family.off
    if not family.enabled:
        return None
    if published_at is None:
        return "It has no image."
    if max_age_days and now - (checked_at or published_at) > datetime.timedelta(days=max_age_days):
        return f"Its source was last read more than {max_age_days} days ago."
    days = REPLACE_DAYS.get(family.promise.replace)
    if days is not None and now - published_at > datetime.timedelta(days=2 * days + 1):
        return f"A new build was promised {family.promise.replace}, and none came."
    return None
