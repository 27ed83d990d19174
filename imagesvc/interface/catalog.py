"""Catalogs say which systems there are and where their public images come from."""

import abc
import dataclasses
from collections.abc import Mapping, Sequence

from imagesvc.interface import base, catalog_entry

VERSION = base.Version(1, 0)


class CatalogCapability(base.Capability):
    """What a catalog may say of itself."""


@dataclasses.dataclass(frozen=True, slots=True, order=True)
class OSVersion:
    """One system that images may have; `os_type` is Linux, Windows or Other."""

    os_type: str
    platform: str
    version: str
    bits: int
    architectures: tuple[str, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class CatalogKey:
    """A key that an entry names: fingerprints of its primary keys in capitals, and the path of the
    file with the certificates."""

    fingerprints: tuple[str, ...]
    path: str


@dataclasses.dataclass(frozen=True, slots=True)
class CatalogEntry:
    """One family as its author wrote it, `origin` says where; `keys` are those that it names, by id.

    `off` says why it is not used; empty means that it may be.
    """

    family: catalog_entry.Family
    origin: str
    keys: Mapping[str, CatalogKey] = dataclasses.field(default_factory=dict)
    off: str = ""


@dataclasses.dataclass(frozen=True, slots=True, order=True)
class CatalogProblem:
    """A place of the catalog that cannot be used; `line` counts from 1, 0 is the whole file.

    `family` is the id of the one that is wrong, empty if it is not one of them, or not known.
    """

    file: str
    line: int
    cause: str
    family: str = ""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.cause}"


class CatalogDriver(base.Driver):
    """Where families are described. It only reads; each call may be repeated, and fetches nothing."""

    @abc.abstractmethod
    def list_versions(self) -> Sequence[OSVersion]:
        """The systems that are supported, in order, each once. Raises Unavailable."""

    @abc.abstractmethod
    def list_families(self) -> Sequence[CatalogEntry]:
        """The families by id, also those that are off; none that has a problem. Raises Unavailable."""

    def list_problems(self) -> Sequence[CatalogProblem]:
        """What could not be read, in order; the families of such a place are absent."""
        return ()
