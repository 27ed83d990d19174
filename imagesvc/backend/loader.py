"""Driver name -> class, with failures kept apart; the only file that imports stevedore."""

import dataclasses
import enum
import functools
import importlib.metadata
import os
import sys
from collections.abc import Iterable
from typing import Any

from stevedore import extension, named

from imagesvc.backend import kind as kinds
from imagesvc.interface import base


class FailureKind(enum.StrEnum):
    """Why a driver's class cannot be had."""

    MISSING = "missing"
    DUPLICATE = "duplicate"
    BROKEN = "broken"
    CONTRACT = "contract"


@dataclasses.dataclass(frozen=True, slots=True)
class LoadFailure:
    """A driver that did not load; `cause` is for the operator.

    The rest is as much as is known: who provides it, and the contract that it names.
    """

    driver: str
    kind: FailureKind
    cause: str
    distribution: str = ""
    version: str = ""
    contract: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class LoadedDriver:
    """A driver's class and the distribution that provides it."""

    driver: str
    driver_class: type[base.Driver]
    distribution: str
    version: str


def installed(kind: kinds.Kind) -> tuple[str, ...]:
    """Names of the installed drivers of a kind; nothing is imported."""
    return tuple(sorted({found.name for found in _entry_points(kind)}))


def load(kind: kinds.Kind, names: Iterable[str]) -> dict[str, LoadedDriver | LoadFailure]:
    """Import the named drivers, and no other; a failure of one does not touch the rest."""
    return {name: _load_one(kind, name) for name in dict.fromkeys(names)}


def _entry_points(kind: kinds.Kind) -> importlib.metadata.EntryPoints:
    # What is installed beside the service is read once, as long as the places are what they were.
    return _installed(tuple((place, _changed(place)) for place in sys.path))[kind.name]


@functools.lru_cache(maxsize=1)
def _installed(
    places: tuple[tuple[str, int], ...],
) -> dict[str, importlib.metadata.EntryPoints]:
    # stevedore's cached entry points have lost their distributions; these have them.
    found = importlib.metadata.entry_points()
    return {kind.name: found.select(group=kind.group) for kind in kinds.KINDS}


def _changed(place: str) -> int:
    try:
        return os.stat(place).st_mtime_ns
    except OSError:
        return 0


def _load_one(kind: kinds.Kind, name: str) -> LoadedDriver | LoadFailure:
    found = _entry_points(kind).select(name=name)
    if len(found) > 1:
        owners = ", ".join(sorted(_owner(item)[0] for item in found))
        return LoadFailure(
            name,
            FailureKind.DUPLICATE,
            f"the driver name {name} is provided by more than one distribution ({owners}); "
            "remove all but one",
            owners,
        )
    owner, version = _owner(next(iter(found))) if found else ("", "")
    broken: list[BaseException] = []

    def keep(manager: Any, entry_point: Any, exc: BaseException) -> None:
        broken.append(exc)

    try:
        manager = named.NamedExtensionManager(
            kind.group,
            [name],
            on_load_failure_callback=keep,
            on_missing_entrypoints_callback=None,
            conflict_resolver=extension.error_on_conflict,
        )
    except AssertionError as exc:  # the one exception of a module that stevedore lets through
        return LoadFailure(name, FailureKind.BROKEN, f"import failed: {_said(exc)}", owner, version)
    if broken:
        return LoadFailure(
            name, FailureKind.BROKEN, f"import failed: {_said(broken[0])}", owner, version
        )
    if not manager.extensions:
        known = ", ".join(installed(kind)) or "none"
        return LoadFailure(
            name,
            FailureKind.MISSING,
            f"no driver {name} of kind {kind.name} is installed; installed are: {known}",
        )
    driver_class = manager[name].plugin
    refusal = check_contract(kind, driver_class)
    if refusal:
        speaks = getattr(driver_class, "contract", None)
        shown = str(speaks) if isinstance(speaks, base.Version) else ""
        return LoadFailure(name, FailureKind.CONTRACT, refusal, owner, version, shown)
    return LoadedDriver(name, driver_class, owner, version)


def check_contract(kind: kinds.Kind, driver_class: Any) -> str:
    """Say why the class does not fit the service's contract; empty if it does."""
    if not (isinstance(driver_class, type) and issubclass(driver_class, kind.contract)):
        return f"{driver_class!r} is no {kind.contract.__name__}"
    contract = getattr(driver_class, "contract", None)
    if not (isinstance(contract, tuple) and len(contract) == len(kind.version)):
        return f"{driver_class.__name__} names no contract version"
    major, minor = contract
    if major != kind.version.major or minor > kind.version.minor:
        return (
            f"the driver was written for contract {major}.{minor}, "
            f"the service speaks {kind.version}"
        )
    return ""


def _owner(entry_point: importlib.metadata.EntryPoint) -> tuple[str, str]:
    owner = entry_point.dist
    return (owner.name, owner.version) if owner else ("", "")


def _said(exc: BaseException) -> str:
    return f"{type(exc).__name__}: {exc}" if str(exc) else type(exc).__name__
