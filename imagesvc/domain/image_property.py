"""What may be changed on an image, when, and to what.

A door translates its own names: a change of a field of `domain.image.Image` has the path
`(field,)`, one of a free property `("properties", name)`. Only the value rules stand here;
who may change is decided by the manager.
"""

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from imagesvc import errors
from imagesvc.domain import disk_format, family, image
from imagesvc.errors import Reason

READ_ONLY = frozenset(
    {
        "id", "status", "size_bytes", "virtual_size_bytes", "md5", "hash_algorithm",
        "hash_value", "created_at", "updated_at", "locations", "direct_url", "self", "file",
        "schema", "stores", "kind", "cause", "job_id",
    }
)  # fmt: skip
# Documented facts that are columns. Whoever writes a property of such a name writes the fact, and
# whoever filters by it reads the fact: there is no second place for it.
FACTS = ("os_type", "architecture", "description")
# Doors say by these names under which key an image is encrypted, of which family it is, and from when
# on it is deprecated; they are no properties.
FAMILY_NAMES = {
    "imagesvc_family": "family",
    "imagesvc_family_version": "family_version",
    "imagesvc_deprecated_at": "deprecated_at",
}
RESERVED_PROPERTIES = frozenset(
    {"location", "deleted", "deleted_at", "imagesvc_key_id", *FAMILY_NAMES}
)
RESERVED_PREFIX = "os_glance"
# Marks of drivers, which say of an image for which work it was made.
MARKS = "imagesvc_"
# What is said of one image alone, and of no copy of it: marks of drivers and of imports, and whether
# its key dies with it.
OWN_PREFIXES = (MARKS, RESERVED_PREFIX, "cinder_encryption_key_deletion_policy")
FORMAT_FIELDS = frozenset({"disk_format", "container_format"})
FORMAT_STATUSES = frozenset({"queued", "importing"})


@dataclasses.dataclass(frozen=True, slots=True)
class Change:
    """One step of a patch: `op` is add, replace or remove.

    `must_be_new`: an add onto what exists is a conflict (the older patch media type).
    """

    op: str
    path: tuple[str, ...]
    value: Any = None
    must_be_new: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Limits:
    """Most items of an image, -1 is no limit; and the disk formats that it may be given."""

    properties: int = 128
    tags: int = 128
    members: int = 128
    disk_formats: frozenset[str] = frozenset(disk_format.DISK_FORMATS)


@dataclasses.dataclass(slots=True)
class Update:
    """What a patch comes to."""

    values: dict[str, Any] = dataclasses.field(default_factory=dict)
    set_properties: dict[str, str] = dataclasses.field(default_factory=dict)
    remove_properties: set[str] = dataclasses.field(default_factory=set)
    tags: tuple[str, ...] | None = None


def _text(name: str, value: Any, *, length: int = 255, null: bool = True) -> str | None:
    if value is None and null:
        return None
    if not isinstance(value, str) or len(value) > length:
        raise errors.InvalidRequest(f"{name} must be a string of at most {length} characters.")
    return value


def _flag(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise errors.InvalidRequest(f"{name} must be true or false.")
    return value


def _count(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= image.INTEGER_MAX:
        raise errors.InvalidRequest(f"{name} must be a whole number from 0 to {image.INTEGER_MAX}.")
    return value


def _fact(name: str, value: Any) -> str | None:
    return None if value is None else check_property(name, value)


def _choice(choices: Iterable[str], *, null: bool) -> Callable[[str, Any], str | None]:
    def check(name: str, value: Any) -> str | None:
        if value is None and null:
            return None
        if not isinstance(value, str) or value not in choices:
            raise errors.InvalidRequest(f"{name} must be one of: {', '.join(choices)}.")
        return value

    return check


VALUE_RULES: Mapping[str, Callable[[str, Any], Any]] = {
    "name": _text,
    "owner": _text,
    **dict.fromkeys(FACTS, lambda name, value: _fact(name, value)),
    "visibility": _choice([str(item) for item in image.Visibility], null=False),
    "protected": _flag,
    "hidden": _flag,
    "min_disk_gib": _count,
    "min_ram_mib": _count,
    "family": family.check_name,
    "family_version": family.check_version,
    "deprecated_at": family.check_moment,
    "disk_format": _choice(disk_format.DISK_FORMATS, null=True),
    "container_format": _choice(disk_format.CONTAINER_FORMATS, null=True),
}


def check_field(field: str, value: Any) -> Any:
    """Return `value` if the writable field may have it; raise InvalidRequest or Forbidden."""
    if field in READ_ONLY:
        raise errors.Forbidden(f"{field} is read-only.", reason=Reason.READ_ONLY)
    if field not in VALUE_RULES:
        raise errors.InvalidRequest(f"{field} is no attribute of an image.")
    return VALUE_RULES[field](field, value)


def check_property(name: str, value: Any) -> str:
    """Return the value of a free property; raise InvalidRequest, or Forbidden if reserved."""
    check_property_name(name)
    if not isinstance(value, str):
        raise errors.InvalidRequest(f"Property {name} must be a string.")
    if len(value.encode()) > image.PROPERTY_VALUE_BYTES_MAX:
        raise errors.InvalidRequest(
            f"Property {name} is longer than {image.PROPERTY_VALUE_BYTES_MAX} bytes."
        )
    return value


def facts_of(found: image.Image | image.NewImage) -> dict[str, str]:
    """The facts that are known of an image, as doors show them among its properties."""
    named = ((name, getattr(found, name)) for name in FACTS)
    return {name: value for name, value in named if value is not None}


def check_property_name(name: str) -> None:
    """Raise Forbidden for names that the service keeps for itself, InvalidRequest if too long."""
    if name in RESERVED_PROPERTIES or name.startswith(RESERVED_PREFIX):
        raise errors.Forbidden(f"Property {name} is reserved.", reason=Reason.RESERVED)
    if not 0 < len(name) <= image.PROPERTY_NAME_LENGTH_MAX:
        raise errors.InvalidRequest(
            f"The name of a property must have 1 to {image.PROPERTY_NAME_LENGTH_MAX} characters."
        )


def check_tags(tags: Any) -> tuple[str, ...]:
    """Return tags without repeats, in the order given; raise InvalidRequest."""
    if not isinstance(tags, list | tuple):
        raise errors.InvalidRequest("tags must be a list of strings.")
    return tuple(dict.fromkeys(check_tag(tag) for tag in tags))


def check_tag(tag: Any) -> str:
    """Return a tag; raise InvalidRequest if it is empty, too long or no string."""
    if not isinstance(tag, str) or not 0 < len(tag) <= image.TAG_LENGTH_MAX:
        raise errors.InvalidRequest(
            f"A tag must be a string of 1 to {image.TAG_LENGTH_MAX} characters."
        )
    return tag


def check_disk_format(value: str | None, limits: Limits) -> None:
    """Raise InvalidRequest for a disk format that the operator does not take."""
    if value is not None and value not in limits.disk_formats:
        taken = ", ".join(sorted(limits.disk_formats))
        raise errors.InvalidRequest(f"disk_format must be one of: {taken}.")


def check_limit(what: str, count: int, limit: int) -> None:
    """Raise TooLarge if an image would hold more items than it may."""
    if 0 <= limit < count:
        raise errors.TooLarge(what=f"The list of {what}", limit=limit, unit=what)


def apply(before: image.Image, changes: tuple[Change, ...], limits: Limits) -> Update:
    """Work a patch out against the image as it is; nothing is changed if one step is wrong.

    Raises InvalidRequest for a wrong value, Forbidden for what may never be changed or
    removed, Conflict for a property that is missing or there already, TooLarge.
    """
    update = Update()
    written = {name for name in before.properties if not name.startswith(RESERVED_PREFIX)}
    present = written | facts_of(before).keys()
    count = len(present)
    for change in changes:
        if change.path[0] == "properties" and len(change.path) == 2:
            _apply_property(update, present, change)
        elif len(change.path) != 1:
            raise errors.InvalidRequest(f"/{'/'.join(change.path)} cannot be changed.")
        else:
            _apply_field(before, update, change)
    check_disk_format(update.values.get("disk_format"), limits)
    if len(present) > count:
        check_limit("properties", len(present), limits.properties)
    if update.tags is not None and len(update.tags) > len(before.tags):
        check_limit("tags", len(update.tags), limits.tags)
    return update


def _apply_field(before: image.Image, update: Update, change: Change) -> None:
    field = change.path[0]
    if field in READ_ONLY:
        raise errors.Forbidden(f"{field} is read-only.", reason=Reason.READ_ONLY)
    if change.op == "remove":
        raise errors.Forbidden(f"{field} cannot be removed.", reason=Reason.READ_ONLY)
    if field == "tags":
        update.tags = check_tags(change.value)
        return
    value = check_field(field, change.value)
    if field in FORMAT_FIELDS and before.status not in FORMAT_STATUSES:
        raise errors.Forbidden(
            f"{field} can be changed only while the image is queued.", reason=Reason.FORMAT_LOCKED
        )
    update.values[field] = value


def _apply_property(update: Update, present: set[str], change: Change) -> None:
    name = change.path[1]
    check_property_name(name)
    if change.op != "add" and name not in present:
        raise errors.Conflict(f"The image has no property {name}.", reason=Reason.PROPERTY_MISSING)
    if change.op == "remove":
        present.discard(name)
        _remove_property(update, name)
        return
    if change.must_be_new and name in present:
        raise errors.Conflict(
            f"The image has a property {name} already.", reason=Reason.PROPERTY_EXISTS
        )
    value = check_property(name, change.value)
    present.add(name)
    if name in FACTS:
        update.values[name] = value
        return
    update.set_properties[name] = value
    update.remove_properties.discard(name)


def _remove_property(update: Update, name: str) -> None:
    if name in FACTS:
        update.values[name] = None
        return
    update.set_properties.pop(name, None)
    update.remove_properties.add(name)
