"""What another region says of an image, as it must look: what does not may be from anybody."""

import re
from collections.abc import Callable, Mapping
from typing import Any, TypeGuard

from imagesvc.domain.region_image import DISKS_MAX

# An id, a state, a format: it goes into paths, messages and the audit trail.
_WORD = re.compile(r"[A-Za-z0-9._:-]{1,255}")
_NUMBER_MAX = (1 << 63) - 1

Check = Callable[[Any], bool]


def is_sound(found: Any) -> TypeGuard[dict[str, Any]]:
    """Whether it is an image with all of its disks, each fact of its kind."""
    return _fits(found, _IMAGE)


def _fits(found: Any, checks: Mapping[str, Check]) -> bool:
    return isinstance(found, dict) and all(
        name in found and check(found[name]) for name, check in checks.items()
    )


def _is_word(found: Any) -> bool:
    return isinstance(found, str) and bool(_WORD.fullmatch(found))


def _is_number(found: Any) -> bool:
    whole = isinstance(found, int) and not isinstance(found, bool)
    return whole and 0 <= found <= _NUMBER_MAX


def _or_none(check: Check) -> Check:
    return lambda found: found is None or check(found)


def _are_disks(found: Any) -> bool:
    few = isinstance(found, list) and len(found) <= DISKS_MAX
    return few and all(_fits(disk, _DISK) for disk in found)


_DISK: Mapping[str, Check] = {
    "index": _is_number,
    "role": _is_word,
    "disk_format": _is_word,
    "size_bytes": _is_number,
    "upload_id": _is_word,
    "stored_bytes": _or_none(_is_number),
    "hash_algorithm": _or_none(_is_word),
    "hash_value": _or_none(_is_word),
}
_IMAGE: Mapping[str, Check] = {
    "image_id": _is_word,
    "project_id": _is_word,
    "status": _is_word,
    "cause": _or_none(lambda found: isinstance(found, str)),
    "has_namesake": lambda found: isinstance(found, bool),
    "disks": _are_disks,
}
