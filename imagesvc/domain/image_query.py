"""What a list of images asks for; both dialects parse into it."""

import dataclasses
import datetime
import enum

from imagesvc.domain import image
from imagesvc.domain.state import MemberStatus

LIMIT_DEFAULT = 25
LIMIT_MAX = 1000
IN_VALUES_MAX = 100

SORT_KEYS = (
    "name", "status", "container_format", "disk_format", "size_bytes", "id",
    "created_at", "updated_at",
)  # fmt: skip


class Operator(enum.StrEnum):
    """How a field is compared."""

    EQ = "eq"
    NEQ = "neq"
    GT = "gt"
    GTE = "gte"
    LT = "lt"
    LTE = "lte"
    IN = "in"


@dataclasses.dataclass(frozen=True, slots=True)
class FieldFilter:
    """One comparison on a column of the image (a field name of `domain.image.Image`)."""

    field: str
    operator: Operator
    value: str | int | bool | datetime.datetime | tuple[str, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class SortKey:
    """A field of SORT_KEYS and its direction."""

    field: str
    descending: bool


@dataclasses.dataclass(frozen=True, slots=True)
class ImageQuery:
    """A page of images.

    `visibility` is None (the default set), one of the four, or `all`. `member_status` None
    means `all`. `impossible` marks a filter that no image can meet (an integer field
    compared with text): the answer is an empty page. `newest_of` names a family of which the newest
    image alone is asked for. `sort` holds what the caller asked
    for; ties are always broken by created_at, then id.
    """

    visibility: str | None = None
    member_status: MemberStatus | None = MemberStatus.ACCEPTED
    owner: str | None = None
    hidden: bool = False
    tags: tuple[str, ...] = ()
    fields: tuple[FieldFilter, ...] = ()
    properties: tuple[tuple[str, str], ...] = ()
    sort: tuple[SortKey, ...] = (SortKey("created_at", True),)
    marker: str | None = None
    limit: int = LIMIT_DEFAULT
    impossible: bool = False
    newest_of: str | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Page:
    """Images in order; `full` says that a next page may exist."""

    images: tuple[image.Image, ...]
    full: bool
