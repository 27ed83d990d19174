"""Query strings of our own API: known names only, marker and limit, pages."""

import dataclasses
import datetime
from collections.abc import Callable, Sequence, Set
from typing import Any, TypeVar

import falcon

from imagesvc import errors

LIMIT_DEFAULT = 100
LIMIT_MAX = 1000
INTEGER_DIGITS_MAX = 18

T = TypeVar("T")


@dataclasses.dataclass(frozen=True, slots=True)
class PageQuery:
    """Where a page begins and how long it is at most."""

    marker: str | None
    limit: int


def known(req: falcon.Request, names: Set[str]) -> None:
    """Refuse parameters that are not in `names`, or come twice."""
    for name, value in req.params.items():
        if name not in names:
            raise errors.InvalidRequest(f"There is no query parameter {name!r:.80}.")
        if isinstance(value, list):
            raise errors.InvalidRequest(f"Query parameter {name} is given twice.")


def text(req: falcon.Request, name: str) -> str | None:
    """A parameter as it stands."""
    return req.get_param(name)


def integer(req: falcon.Request, name: str, default: int, *, low: int = 0) -> int:
    """A parameter that is a whole number of at least `low`."""
    value = text(req, name)
    if value is None:
        return default
    if not (value.isascii() and value.isdigit()) or len(value) > INTEGER_DIGITS_MAX:
        raise errors.InvalidRequest(f"Query parameter {name} must be a whole number.")
    if int(value) < low:
        raise errors.InvalidRequest(f"Query parameter {name} must be {low} or more.")
    return int(value)


def choice(req: falcon.Request, name: str, values: Sequence[str]) -> str | None:
    """A parameter that is one of `values`."""
    value = text(req, name)
    if value is not None and value not in values:
        raise errors.InvalidRequest(f"Query parameter {name} must be one of: {', '.join(values)}.")
    return value


def moment(req: falcon.Request, name: str) -> datetime.datetime | None:
    """A parameter that is an ISO 8601 time; UTC if it names no zone."""
    value = text(req, name)
    if value is None:
        return None
    try:
        found = datetime.datetime.fromisoformat(value)
        return found.replace(tzinfo=found.tzinfo or datetime.UTC).astimezone(datetime.UTC)
    except (ValueError, OverflowError) as exc:  # what is no time, or leaves the calendar
        raise errors.InvalidRequest(f"Query parameter {name} must be an ISO 8601 time.") from exc


def page(req: falcon.Request, filters: Set[str]) -> PageQuery:
    """Marker and limit; a limit above the greatest means the greatest."""
    known(req, {"marker", "limit", *filters})
    limit = integer(req, "limit", LIMIT_DEFAULT, low=1)
    return PageQuery(text(req, "marker"), min(limit, LIMIT_MAX))


def answer(
    key: str,
    found: Sequence[T],
    asked: PageQuery,
    view: Callable[[T], dict[str, Any]],
    marker: Callable[[T], str],
) -> dict[str, Any]:
    """A page of views; `next` is the marker of the page after it, or null."""
    full = len(found) >= asked.limit
    return {key: [view(one) for one in found], "next": marker(found[-1]) if full else None}
