"""The catalog of the YAML files that ship, and of folders of the operator laid over them."""

import dataclasses
import importlib.metadata
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import msgspec
from oslo_config import cfg

from imagesvc.interface import base
from imagesvc.interface.catalog import (
    VERSION,
    CatalogDriver,
    CatalogEntry,
    CatalogKey,
    CatalogProblem,
    OSVersion,
)
from imagesvc.interface.catalog_entry import Family, Key
from imagesvc_drivers.catalog import document

_SOURCE = "etc/imagesvc/catalog.d"
_INSTALLED = "share/imagesvc/catalog.d"
_BITS = 64


@dataclasses.dataclass(slots=True)
class _Read:
    """What the layers said so far; a later layer replaces by id."""

    layers: Sequence[Path]
    families: dict[str, tuple[Family, str]] = dataclasses.field(default_factory=dict)
    keys: dict[str, Key] = dataclasses.field(default_factory=dict)
    problems: list[CatalogProblem] = dataclasses.field(default_factory=list)


class BuiltinCatalog(CatalogDriver):
    """Reads all files anew at each call."""

    contract = base.Version(1, 0)
    OPTS: ClassVar[tuple[cfg.Opt, ...]] = (
        cfg.ListOpt(
            "directories",
            default=[],
            help="Folders with YAML families of your own, separated by commas. A family replaces "
            "one of the same id in a folder before it and in what ships; files of keys are looked "
            "for in their folder `keys`.",
        ),
    )

    def info(self) -> base.DriverInfo:
        """Nothing is promised beyond the contract."""
        return base.DriverInfo("builtin", "imagesvc", str(VERSION))

    def health(self) -> base.Health:
        """Degraded if a file cannot be used."""
        problems = self._read().problems
        if problems:
            return base.Health(base.HealthState.DEGRADED, str(problems[0]))
        return base.Health(base.HealthState.OK)

    def list_versions(self) -> Sequence[OSVersion]:
        """Of all families, also those that are off: users bring images of their own."""
        found: dict[tuple[str, str, str], set[str]] = {}
        for family, _ in self._read().families.values():
            version = f"{family.os.platform} {family.os.version} {_BITS}bit"
            named = (family.os.type, family.os.platform, version)
            found.setdefault(named, set()).add(family.os.arch)
        return sorted(OSVersion(*named, _BITS, tuple(sorted(found[named]))) for named in found)

    def list_families(self) -> Sequence[CatalogEntry]:
        """By id."""
        read = self._read()
        return tuple(_entry(read, *read.families[one]) for one in sorted(read.families))

    def list_problems(self) -> Sequence[CatalogProblem]:
        """Of all files."""
        return sorted(self._read().problems)

    def _read(self) -> _Read:
        read = _Read([shipped(), *(Path(one) for one in self.options.directories)])
        for layer in read.layers:
            _lay(read, layer)
        return read


def shipped() -> Path:
    """The folder of the families that come with the service."""
    source = Path(__file__).parents[2] / _SOURCE
    if source.is_dir():
        return source
    for file in importlib.metadata.files("imagesvc") or ():
        if file.parent.as_posix().endswith(_INSTALLED):
            return Path(str(file.locate())).parent.resolve()
    return source


def _lay(read: _Read, layer: Path) -> None:
    """What a folder says comes over what was said before."""
    if not layer.is_dir():
        read.problems.append(CatalogProblem(str(layer), 0, "there is no such folder"))
    found: list[tuple[Path, document.Contents]] = []
    for file in sorted(layer.glob("*.yaml")):
        try:
            found.append((file, document.read(file)))
        except document.Refused as exc:
            read.problems.append(exc.problem)
    wrong = [one for _, contents in found for one in contents.problems] + _twins(found)
    read.problems += wrong
    for file, contents in found:
        read.families |= {one.id: (one, str(file)) for one in contents.families}
        read.keys |= {one.id: one for one in contents.keys}
    for one in wrong:  # what it was to replace is not taken instead of it
        read.families.pop(one.family, None)
    for file, contents in found:
        _switch(read, file, contents)


def _switch(read: _Read, file: Path, contents: document.Contents) -> None:
    faulty = {one.family for one in read.problems}
    for switch in contents.switches:
        if switch.id in read.families:
            family, origin = read.families[switch.id]
            changed = msgspec.structs.replace(family, enabled=switch.enabled)
            read.families[switch.id] = changed, origin
        elif switch.id not in faulty:
            cause = f"there is no family {switch.id} to switch"
            read.problems.append(CatalogProblem(str(file), 0, cause))


def _twins(found: Sequence[tuple[Path, document.Contents]]) -> list[CatalogProblem]:
    """Families that a folder has twice: none of them is taken."""
    first: dict[str, Path] = {}
    twins = []
    for file, contents in found:
        for family in contents.families:
            if family.id in first:
                cause = f"family {family.id} is named already in {first[family.id].name}"
                twins.append(CatalogProblem(str(file), 0, cause, family.id))
            first.setdefault(family.id, file)
    return twins


def _entry(read: _Read, family: Family, origin: str) -> CatalogEntry:
    signed = family.source.signed
    keys = {}
    off = "" if family.enabled else "it is switched off"
    for name in signed.keys if signed else ():
        key = read.keys.get(name)
        path = key and next(
            (one / key.file for one in reversed(read.layers) if (one / key.file).is_file()), None
        )
        if key is None or not key.fingerprints:
            off = off or f"the fingerprint of its key {name} is not known"
        elif path is None:
            off = off or f"the file {key.file} of its key {name} is not there"
        else:
            keys[name] = CatalogKey(key.fingerprints, str(path))
    return CatalogEntry(family, origin, keys, off)
