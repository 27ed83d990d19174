"""Families: images of one thing in its versions, of which the newest has a name of its own.

A family belongs to the project of its images. Its *newest* image is the one that an alias names,
or else the one with the highest version among those that are active, not hidden and not
deprecated. Versions are compared by the numbers in them, never as text.
"""

import dataclasses
import datetime
import re
from typing import Any

from imagesvc import errors

NAME_LENGTH_MAX = 64
# How callers name the newest image of a family where an image is asked for.
PREFIX = "family/"
_NAME = re.compile(rf"[a-z0-9][a-z0-9._-]{{0,{NAME_LENGTH_MAX - 1}}}", re.ASCII)
_VERSION = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._+~-]{{0,{NAME_LENGTH_MAX - 1}}}", re.ASCII)
_DIGITS = re.compile(r"[0-9]+", re.ASCII)


@dataclasses.dataclass(frozen=True, slots=True)
class Family:
    """A family and its newest image; None if all its images are hidden, deprecated or not active.

    `pinned`: an alias names the image, which was moved at `moved_at` from `former_image_id`.
    """

    name: str
    owner: str
    image_id: str | None
    version: str | None
    pinned: bool = False
    former_image_id: str | None = None
    moved_at: datetime.datetime | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Version:
    """One image of a family; times are None for what was never said."""

    image_id: str
    name: str | None
    version: str | None
    status: str
    hidden: bool
    created_at: datetime.datetime
    deprecated_at: datetime.datetime | None
    provided_until: datetime.datetime | None


def check_name(name: str, value: Any) -> str | None:
    """Return the name of a family, or None. Raises InvalidRequest, which tells the grammar."""
    if value is None:
        return None
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise errors.InvalidRequest(
            f"{name} must be a word of at most {NAME_LENGTH_MAX} small letters, digits, '.', '_' and "
            "'-', and begin with a letter or digit, as debian-13-x86_64."
        )
    return value


def check_version(name: str, value: Any) -> str | None:
    """Return a version within a family, or None. Raises InvalidRequest, which tells the grammar."""
    if value is None:
        return None
    if not isinstance(value, str) or not _VERSION.fullmatch(value):
        raise errors.InvalidRequest(
            f"{name} must be a word of at most {NAME_LENGTH_MAX} letters, digits, '.', '_', '+', '~' "
            "and '-', and begin with a letter or digit, as 20260101-10."
        )
    return value


def check_moment(name: str, value: Any) -> datetime.datetime | None:
    """Return a time in UTC, of ISO 8601 text; without a zone it is UTC. Raises InvalidRequest."""
    if value is None:
        return None
    try:
        found = (
            value
            if isinstance(value, datetime.datetime)
            else datetime.datetime.fromisoformat(value)
        )
        return found.replace(tzinfo=found.tzinfo or datetime.UTC).astimezone(datetime.UTC)
    except (TypeError, ValueError, OverflowError) as exc:  # no text, no time, out of the calendar
        raise errors.InvalidRequest(f"{name} must be an ISO 8601 time.") from exc


def order(version: str | None) -> str:
    """A text that sorts by code point as the version does by its numbers; "" for no version.

    Each number is written behind the count of its digits, so that 10 comes after 9.
    """
    numbers = (found.lstrip("0") for found in _DIGITS.findall(version or ""))
    return ".".join(f"{len(number):03d}{number}" for number in numbers)


def is_name(text: str) -> bool:
    """Whether a text names an image by its family."""
    return text.startswith(PREFIX)
