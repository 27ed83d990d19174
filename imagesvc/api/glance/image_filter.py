"""Query string -> ImageQuery."""

import datetime
import re
from collections import defaultdict
from typing import Any

from imagesvc import errors
from imagesvc.api import page
from imagesvc.api.glance import image_view
from imagesvc.domain import image as image_domain
from imagesvc.domain import image_property, image_query
from imagesvc.domain.image_query import FieldFilter, Operator, SortKey
from imagesvc.domain.state import MemberStatus

SORT_KEYS = {
    name: image_view.FIELDS[name]
    for name in (
        "name", "status", "container_format", "disk_format", "size", "id", "created_at",
        "updated_at",
    )
}  # fmt: skip
_LISTED = frozenset({"name", "id", "status", "container_format", "disk_format"})
_TIMES = frozenset({"created_at", "updated_at"})
_COUNTS = frozenset({"min_ram", "min_disk", "size"})
_EXACT = frozenset({"checksum", "os_hash_value", "os_hash_algo"})
_SIZES = {"size_min": Operator.GTE, "size_max": Operator.LTE}
_PAGING = frozenset({"limit", "marker", "sort", "sort_key", "sort_dir"})
_SCOPE = frozenset(
    {"visibility", "member_status", "owner", "os_hidden", "tag", "changes-since", "imagesvc_newest"}
)
_VISIBILITIES = frozenset({*(str(item) for item in image_domain.Visibility), "all"})
# Asks for the newest image of the family that stands beside it.
NEWEST = "imagesvc_newest"
_FAMILY = "imagesvc_family"
_DIRECTIONS = {"asc": False, "desc": True}
_NUMBER = re.compile(r"-?\d{1,19}", re.ASCII)
_VALUES = re.compile(r'(?:"([^"]*)"|([^",]*))(?:,|$)')
_OPERATORS = frozenset(str(item) for item in Operator)
_SECOND = datetime.timedelta(seconds=1)


def parse(pairs: list[tuple[str, str]]) -> image_query.ImageQuery:
    """Read the parameters of a list of images. Raises InvalidRequest."""
    given: dict[str, list[str]] = defaultdict(list)
    for name, value in pairs:
        given[name].append(value)
    last = {name: values[-1] for name, values in given.items()}
    if "changes-since" in given:
        raise errors.InvalidRequest("changes-since is not a filter of this API.")
    facts = _Facts()
    for name, values in given.items():
        for value in values:
            _filter(facts, name, value)
    newest = _flag(NEWEST, last.get(NEWEST, "false").lower())
    if newest and _FAMILY not in last:
        raise errors.InvalidRequest(f"{NEWEST} stands beside {_FAMILY}, which names the family.")
    return image_query.ImageQuery(
        visibility=_choice("visibility", last.get("visibility"), _VISIBILITIES),
        member_status=_member_status(last.get("member_status")),
        owner=last.get("owner"),
        hidden=_flag("os_hidden", last.get("os_hidden", "false").lower()),
        tags=tuple(dict.fromkeys(given.get("tag", ()))),
        fields=tuple(facts.fields),
        properties=tuple(facts.properties),
        sort=_sort(given),
        marker=last.get("marker"),
        limit=page.limit(
            last.get("limit"),
            default=image_query.LIMIT_DEFAULT,
            maximum=image_query.LIMIT_MAX,
        ),
        impossible=facts.impossible,
        newest_of=last[_FAMILY] if newest else None,
    )


class _Facts:
    """What the filters come to."""

    def __init__(self) -> None:
        self.fields: list[FieldFilter] = []
        self.properties: list[tuple[str, str]] = []
        self.impossible = False

    def add(self, name: str, operator: Operator, value: Any) -> None:
        self.fields.append(FieldFilter(image_view.FIELDS[name], operator, value))


def _filter(facts: _Facts, name: str, value: str) -> None:
    if name in _PAGING or name in _SCOPE:
        return
    if name in _LISTED:
        _text_filter(facts, name, value)
    elif name in _TIMES:
        _time_filter(facts, name, value)
    elif name in _COUNTS:
        number = _number(value)
        facts.impossible |= number is None
        facts.add(name, Operator.EQ, number or 0)
    elif name in _SIZES:
        if (number := _number(value)) is None:
            raise errors.InvalidRequest(f"{name} must be a whole number of 64 bits.")
        facts.add("size", _SIZES[name], number)
    elif name in _EXACT:
        facts.add(name, Operator.EQ, value)
    elif name in ("imagesvc_family", "imagesvc_family_version"):
        facts.fields.append(FieldFilter(image_property.FAMILY_NAMES[name], Operator.EQ, value))
    elif name == "protected":
        facts.add(name, Operator.EQ, _flag(name, value))
    else:
        facts.properties.append((name, value))


def _text_filter(facts: _Facts, name: str, text: str) -> None:
    operator, value = _operator(text)
    if operator is Operator.IN:
        facts.add(name, operator, _values(name, value))
    elif operator is Operator.EQ:
        facts.add(name, operator, value)
    else:
        raise errors.InvalidRequest(f"{name} cannot be compared with {operator}.")


def _time_filter(facts: _Facts, name: str, text: str) -> None:
    """Times are shown in whole seconds, so a whole second means all of its instants."""
    operator, value = _operator(text)
    if operator is Operator.IN:
        raise errors.InvalidRequest(f"{name} cannot be compared with {operator}.")
    moment = _moment(name, value)
    if moment.microsecond or operator in (Operator.GTE, Operator.LT, Operator.NEQ):
        facts.add(name, operator, moment)
    elif operator is Operator.GT:
        facts.add(name, Operator.GTE, moment + _SECOND)
    else:
        facts.add(name, Operator.LT, moment + _SECOND)
        if operator is Operator.EQ:
            facts.add(name, Operator.GTE, moment)


def _operator(text: str) -> tuple[Operator, str]:
    word, colon, value = text.partition(":")
    if colon and word in _OPERATORS:
        return Operator(word), value
    return Operator.EQ, text


def _values(name: str, text: str) -> tuple[str, ...]:
    """Values with commas between them; quotes protect a comma."""
    found: list[str] = []
    position = 0
    while position < len(text):
        match = _VALUES.match(text, position)
        if match is None:
            raise errors.InvalidRequest(f"The quotes in the filter on {name} are not balanced.")
        found.append(match[1] if match[1] is not None else match[2])
        position = match.end()
    if len(found) > image_query.IN_VALUES_MAX:
        raise errors.InvalidRequest(
            f"The filter on {name} has more than {image_query.IN_VALUES_MAX} values."
        )
    return tuple(found)


def _moment(name: str, text: str) -> datetime.datetime:
    try:
        found = datetime.datetime.fromisoformat(text)
        moment = found.replace(tzinfo=found.tzinfo or datetime.UTC).astimezone(datetime.UTC)
        return min(moment, datetime.datetime.max.replace(tzinfo=datetime.UTC) - _SECOND)
    except (ValueError, OverflowError) as error:
        raise errors.InvalidRequest(f"{name} must be compared with an ISO 8601 time.") from error


def _number(text: str) -> int | None:
    if not _NUMBER.fullmatch(text):
        return None
    number = int(text)
    return number if abs(number) <= image_domain.BYTES_MAX else None


def _choice(name: str, value: str | None, choices: frozenset[str]) -> str | None:
    if value is not None and value not in choices:
        raise errors.InvalidRequest(f"{name} must be one of: {', '.join(sorted(choices))}.")
    return value


def _member_status(value: str | None) -> MemberStatus | None:
    if value is None:
        return MemberStatus.ACCEPTED
    _choice("member_status", value, frozenset({*(str(item) for item in MemberStatus), "all"}))
    return None if value == "all" else MemberStatus(value)


def _flag(name: str, value: str) -> bool:
    if value not in ("true", "false"):
        raise errors.InvalidRequest(f"{name} must be true or false.")
    return value == "true"


def _sort(given: dict[str, list[str]]) -> tuple[SortKey, ...]:
    keys, directions = given.get("sort_key", []), given.get("sort_dir", [])
    if "sort" in given:
        if keys or directions:
            raise errors.InvalidRequest("sort cannot stand beside sort_key and sort_dir.")
        parts = [part.strip().partition(":") for part in given["sort"][-1].split(",")]
        keys = [key for key, _, _ in parts]
        directions = [direction if colon else "desc" for _, colon, direction in parts]
    keys = keys or ["created_at"]
    if len(directions) <= 1:
        directions = (directions or ["desc"]) * len(keys)
    if len(directions) != len(keys):
        raise errors.InvalidRequest("There must be one sort_dir, or as many as sort_key.")
    found: dict[str, SortKey] = {}
    for key, direction in zip(keys, directions, strict=True):
        if key not in SORT_KEYS or direction not in _DIRECTIONS:
            raise errors.InvalidRequest(
                f"Images are sorted by {', '.join(SORT_KEYS)}, each asc or desc."
            )
        found.setdefault(key, SortKey(SORT_KEYS[key], _DIRECTIONS[direction]))
    return tuple(found.values())
