"""One YAML file of the catalog -> its checked contents; what is wrong is told with its line."""

import dataclasses
import datetime
import functools
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import yaml

from imagesvc.interface import catalog_entry
from imagesvc.interface.catalog import CatalogProblem

FILE_BYTES_MAX = 1 << 18
_DEPTH_MAX = 16
_ID_CHARS_MAX = 64
# The one in C is ten times as quick, and the same in all else.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_STEP = re.compile(r"\.([A-Za-z_]+)|\[([0-9]+)\]")


class Refused(Exception):
    """A file that cannot be used."""

    def __init__(self, file: Path, line: int, cause: str) -> None:
        super().__init__(cause)
        self.problem = CatalogProblem(str(file), line, cause)


@dataclasses.dataclass(frozen=True, slots=True)
class Contents:
    """What a file says; the families that are wrong are among the problems."""

    families: tuple[catalog_entry.Family, ...]
    switches: tuple[catalog_entry.Switch, ...]
    keys: tuple[catalog_entry.Key, ...]
    problems: tuple[CatalogProblem, ...] = ()


def read(file: Path) -> Contents:
    """What a file says; parsed anew only when its bytes have changed. Raises Refused."""
    try:
        with file.open("rb") as opened:
            data = opened.read(FILE_BYTES_MAX + 1)
    except OSError as exc:
        raise Refused(file, 0, f"it cannot be read: {exc.strerror}") from exc
    if len(data) > FILE_BYTES_MAX:
        raise Refused(file, 0, f"it has more than {FILE_BYTES_MAX} bytes")
    return _parse(file, data)


@functools.lru_cache(maxsize=64)
def _parse(file: Path, data: bytes) -> Contents:
    try:
        node = _compose(file, data)
        found = _plain(yaml.load(data, _LOADER))  # noqa: S506 - a safe loader
    except yaml.MarkedYAMLError as exc:
        mark = exc.problem_mark or exc.context_mark
        raise Refused(file, mark.line + 1 if mark else 0, str(exc.problem)) from exc
    except (yaml.YAMLError, ValueError, RecursionError) as exc:
        raise Refused(file, 0, f"it is no YAML: {exc}") from exc
    try:
        head = catalog_entry.document(found)
    except msgspec.ValidationError as exc:
        raise Refused(file, _line(node, str(exc)), str(exc)) from exc
    families, problems = [], []
    for number, one in enumerate(head.families):
        try:
            families.append(catalog_entry.family(one))
        except msgspec.ValidationError as exc:  # this one alone
            at = _child(_child(node, "families"), number)
            problems.append(CatalogProblem(str(file), _line(at, str(exc)), str(exc), _id(one)))
    return Contents(tuple(families), tuple(head.switches), tuple(head.keys), tuple(problems))


def _id(found: Any) -> str:
    """The id that an entry seems to have."""
    said = found.get("id") if isinstance(found, Mapping) else None
    return said if isinstance(said, str) and len(said) <= _ID_CHARS_MAX else ""


def _compose(file: Path, data: bytes) -> yaml.Node | None:
    """Refuses references before anything is built of them, and keys that stand twice."""
    depth = 0
    for event in yaml.parse(data, _LOADER):
        line = event.start_mark.line + 1 if event.start_mark else 0
        if isinstance(event, yaml.AliasEvent):
            raise Refused(file, line, "references (*name) are not taken")
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > _DEPTH_MAX:
            raise Refused(file, line, f"it is nested deeper than {_DEPTH_MAX}")
    node = yaml.compose(data, _LOADER)
    _refuse_twins(file, node)
    return node


def _refuse_twins(file: Path, node: yaml.Node | None) -> None:
    if isinstance(node, yaml.SequenceNode):
        for each in node.value:
            _refuse_twins(file, each)
    if isinstance(node, yaml.MappingNode):
        seen = set()
        for key, value in node.value:
            if key.value in seen if isinstance(key, yaml.ScalarNode) else True:
                raise Refused(file, key.start_mark.line + 1, "a key stands twice, or is no word")
            seen.add(key.value)
            _refuse_twins(file, value)


def _line(node: yaml.Node | None, message: str) -> int:
    """The line of what a message of msgspec names as `$.families[0].os`, with an unknown key."""
    path = message.rpartition("`$")[2].rstrip("`") if "`$" in message else ""
    unknown = re.search(r"unknown field `([^`]*)`", message)
    steps = [word or int(number) for word, number in _STEP.findall(path)]
    for step in [*steps, *([unknown[1]] if unknown else [])]:
        node = _child(node, step) or node
    return node.start_mark.line + 1 if node is not None else 0


def _child(node: yaml.Node | None, step: str | int) -> yaml.Node | None:
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int):
        found: yaml.Node = node.value[step]
        return found
    if isinstance(node, yaml.MappingNode):
        return next((value for key, value in node.value if key.value == step), None)
    return None


def _plain(value: Any) -> Any:
    """Days as YAML writes them are texts to whoever converts them."""
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return value.isoformat() if isinstance(value, datetime.date) else value
