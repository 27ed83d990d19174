"""Promises of an image: how long it is provided, how often replaced, how long its id is good.

Names and values are those of the SCS image metadata standard (SCS-0102). They are properties, as callers
wrote them; of `provided_until` the moment stands beside them, and until then nothing deletes the image.
"""

import datetime
from collections.abc import Mapping

from imagesvc import errors

PROVIDED_UNTIL = "provided_until"
# They belong to one id: a copy of the image is promised to nobody.
NAMES = (PROVIDED_UNTIL, "replace_frequency", "uuid_validity")
# Words that promise no moment.
_OPEN = frozenset({"none", "notice"})


def without(properties: Mapping[str, str]) -> dict[str, str]:
    """Properties but for `provided_until`: of sources that may not promise anything here."""
    return {name: value for name, value in properties.items() if name != PROVIDED_UNTIL}


def moment(value: str | None) -> datetime.datetime | None:
    """The moment up to which a value of `provided_until` promises, in UTC; None for no moment.

    A date is kept to the end of that day in UTC. Raises InvalidRequest for anything but a date or a
    time of ISO 8601, `none` or `notice`.
    """
    if value is None or value in _OPEN:
        return None
    try:
        found = _end(value)
        return found.replace(tzinfo=found.tzinfo or datetime.UTC).astimezone(datetime.UTC)
    except (ValueError, OverflowError) as exc:  # what is no time, or leaves the calendar
        raise errors.InvalidRequest(
            f"{PROVIDED_UNTIL} must be a date as 2030-06-30, an ISO 8601 time, none or notice."
        ) from exc


def _end(value: str) -> datetime.datetime:
    try:
        day = datetime.date.fromisoformat(value)
    except ValueError:  # a time then
        return datetime.datetime.fromisoformat(value)
    return datetime.datetime.combine(day, datetime.time()) + datetime.timedelta(days=1)


def require_kept(
    image_id: str,
    promised: datetime.datetime | None,
    wanted: datetime.datetime | None,
    now: datetime.datetime,
) -> None:
    """Raise ImagePromised if `wanted` in the place of a promise that still runs would shorten it."""
    if promised is not None and shortens(promised, wanted, now):
        raise errors.ImagePromised(image_id=image_id, until=promised.isoformat())


def shortens(
    promised: datetime.datetime | None, wanted: datetime.datetime | None, now: datetime.datetime
) -> bool:
    """Whether a promise still runs, and `wanted` in its place would end before it."""
    if promised is None or promised <= now:
        return False
    return wanted is None or wanted < promised


def check_reason(reason: str) -> str:
    """Why a promise is broken, for the audit trail. Raises InvalidRequest for no or a long text."""
    text = reason.strip()
    if not 0 < len(text) <= 255:
        raise errors.InvalidRequest(
            "Say in 1 to 255 characters why the promise is broken; it goes into the audit trail."
        )
    return text
