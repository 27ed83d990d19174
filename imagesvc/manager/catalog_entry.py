"""The families of the catalog drivers: what of them is synced, and what is told of the others."""

import dataclasses
import fnmatch
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from imagesvc.domain import catalog, catalog_family
from imagesvc.domain.catalog_family import CatalogFamily, Promise
from imagesvc.interface.catalog import CatalogDriver, CatalogEntry, CatalogProblem
from imagesvc.interface.catalog_entry import Family
from imagesvc.interface.errors import DriverError

Catalogs = Callable[[], Mapping[str, CatalogDriver | None]]


@dataclasses.dataclass(frozen=True, slots=True)
class Known:
    """A family, and its entry unless that cannot be used; `is_named` in `[catalog] families`."""

    family: CatalogFamily
    entry: CatalogEntry | None = None
    is_named: bool = False


class CatalogEntries:
    """Asks the drivers anew each time. `allowed` are ids with `*` for any characters."""

    def __init__(self, catalogs: Catalogs, *, allowed: Sequence[str], minimum_trust: str) -> None:
        self._catalogs = catalogs
        self._allowed = tuple(allowed)
        self._minimum_trust = minimum_trust

    def all(self) -> Mapping[str, Known]:
        """By id, in order. What cannot be read is a family that is off and says why."""
        found: dict[str, Known] = {}
        for backend_id, driver in self._catalogs().items():
            for one in self._of(backend_id, driver):
                name = one.family.id
                found[name] = one if name not in found else _twin(name)
        return dict(sorted(found.items()))

    def _of(self, backend_id: str, driver: CatalogDriver | None) -> list[Known]:
        try:
            if driver is None:
                raise DriverError("it could not be started")
            entries, problems = driver.list_families(), driver.list_problems()
        except DriverError as exc:  # the other catalogs go on
            name = f"catalog {backend_id}"
            return [Known(catalog_family.faulty(name, f"the backend failed: {exc}."))]
        return [
            *(Known(_family(one, self._off(one)), one, self._names(one)) for one in entries),
            *(Known(_faulty(one)) for one in problems),
        ]

    def _off(self, entry: CatalogEntry) -> str:
        """Why a family is not synced, empty if it is."""
        family, trust = entry.family, entry.family.source.trust
        if family.source.kind == "local":
            return family.note or "only its operator can get it: put a build into the folder."
        if entry.off:
            return f"{entry.off}."
        if not self._names(entry):
            return "it is not named in [catalog] families."
        if catalog.TRUSTS.index(trust) < catalog.TRUSTS.index(self._minimum_trust):
            return (
                f"it is trusted by {trust}, and [catalog] minimum_trust is {self._minimum_trust}."
            )
        return ""

    def _names(self, entry: CatalogEntry) -> bool:
        return any(fnmatch.fnmatchcase(entry.family.id, one) for one in self._allowed)


def _twin(name: str) -> Known:
    return Known(catalog_family.faulty(name, "two catalogs have a family of this id."))


def _faulty(problem: CatalogProblem) -> CatalogFamily:
    where = f"{Path(problem.file).name}:{problem.line}" if problem.line else Path(problem.file).name
    return catalog_family.faulty(problem.family or where, f"{where}: {problem.cause}.")


def _family(entry: CatalogEntry, off: str) -> CatalogFamily:
    found, image, promise = entry.family, entry.family.image, entry.family.promise
    return CatalogFamily(
        id=found.id,
        title=found.title,
        disk_format=image.format,
        properties={**_system(found), **image.properties},
        promise=Promise(
            promise.replace,
            int(promise.keep.removeprefix("last-")),
            promise.until,
            promise.id_until,
        ),
        min_disk_gib=None if image.min_disk == "auto" else image.min_disk,
        min_ram_mib=image.min_ram,
        off=off,
        note=found.note,
    )


def _system(family: Family) -> dict[str, str]:
    system = family.os
    described = {"image_description": family.note} if family.note else {}
    return {
        **described,
        "os_distro": system.distro,
        "os_version": system.version,
        "os_purpose": system.purpose,
        "architecture": system.arch,
        "image_original_user": system.login,
    }
