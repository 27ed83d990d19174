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
    CatalogProblem,
    OSVersion,
)
from imagesvc_drivers.catalog import document, entry

_SOURCE = "etc/imagesvc/catalog.d"
_INSTALLED = "share/imagesvc/catalog.d"
_BITS = 64


@dataclasses.dataclass(slots=True)
class _Read:
    """What the layers said so far; a later layer replaces by id."""

    layers: Sequence[Path]
    families: dict[str, tuple[entry.Family, str]] = dataclasses.field(default_factory=dict)
    keys: dict[str, entry.Key] = dataclasses.field(default_factory=dict)
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
    if not layer.is_dir():
        read.problems.append(CatalogProblem(str(layer), 0, "there is no such folder"))
    named: dict[str, Path] = {}
    for file in sorted(layer.glob("*.yaml")):
        try:
            found = document.read(file)
            _refuse_twins(read, file, found, named)
        except document.Refused as exc:
            read.problems.append(exc.problem)
            continue
        named |= {name: file for name in _names(found)}
        read.families |= {one.id: (one, str(file)) for one in found.families}
        read.keys |= {one.id: one for one in found.keys}
        for switch in found.switches:
            family, origin = read.families[switch.id]
            changed = msgspec.structs.replace(family, enabled=switch.enabled)
            read.families[switch.id] = changed, origin


def _refuse_twins(read: _Read, file: Path, found: entry.Document, named: dict[str, Path]) -> None:
    names = _names(found)
    for name in names:
        if name in named or names.count(name) > 1:
            where = named.get(name, file).name
            raise document.Refused(file, 0, f"{name} is named already in {where}")
    for switch in found.switches:
        if switch.id not in read.families:
            raise document.Refused(file, 0, f"there is no family {switch.id} to switch")


def _names(found: entry.Document) -> list[str]:
    families = [one.id for one in found.families] + [one.id for one in found.switches]
    return [f"family {one}" for one in families] + [f"key {one.id}" for one in found.keys]


def _entry(read: _Read, family: entry.Family, origin: str) -> CatalogEntry:
    signature = family.source.signature
    wanted = signature.keys if isinstance(signature, entry.Signature) else []
    keys = {}
    off = "" if family.enabled else "it is switched off"
    for name in wanted:
        key = read.keys.get(name)
        path = key and next(
            (one / key.file for one in reversed(read.layers) if (one / key.file).is_file()), None
        )
        if key is None or not key.fingerprints:
            off = off or f"the fingerprint of its key {name} is not known"
        elif path is None:
            off = off or f"the file {key.file} of its key {name} is not there"
        else:
            keys[name] = {"fingerprints": tuple(key.fingerprints), "path": str(path)}
    return CatalogEntry(family.id, origin, msgspec.to_builtins(family), keys, off)
