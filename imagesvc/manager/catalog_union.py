"""Several sources as one: the folder of the operator, and the families of the network."""

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path

from imagesvc import errors
from imagesvc.domain import catalog_family
from imagesvc.domain.catalog import Evidence, Release
from imagesvc.domain.catalog_family import CatalogFamily
from imagesvc.manager.catalog_source import Body, CatalogSource, Resolved

_TWIN = "two sources have a family of this id, so that none of them is taken."


class SourceUnion:
    """A family that two of the sources have is off, and says so."""

    def __init__(self, sources: Sequence[CatalogSource]) -> None:
        self._sources = tuple(sources)

    def families(self) -> Sequence[CatalogFamily]:
        """All by id."""
        found: dict[str, CatalogFamily] = {}
        for source in self._sources:
            for one in source.families():
                found[one.id] = catalog_family.faulty(one.id, _TWIN) if one.id in found else one
        return tuple(found[name] for name in sorted(found))

    def has(self, release: Release) -> bool:
        """Whether it is of one of the sources."""
        return any(source.has(release) for source in self._sources)

    def resolve(self, family: str) -> Resolved:
        """Ask the source of a family. Raises FamilyNotFound, CatalogRefused."""
        known = [
            (source, one)
            for source in self._sources
            for one in source.families()
            if one.id == family
        ]
        if not known:
            raise errors.FamilyNotFound(family=family)
        if len(known) > 1:
            raise errors.CatalogRefused(family=family, cause=_TWIN)
        return known[0][0].resolve(family)

    def open(self, release: Release) -> contextlib.AbstractContextManager[Body]:
        """The bytes of a build. Raises CatalogRefused, FetchFailed."""
        return self._of(release).open(release)

    def judge(self, release: Release, evidence: Evidence) -> Callable[[Path], None] | None:
        """What holds a file against the publisher's signature. Raises CatalogRefused."""
        return self._of(release).judge(release, evidence)

    def verify(self, release: Release, evidence: Evidence) -> None:
        """Whether what was kept still proves the build. Raises CatalogRefused."""
        self._of(release).verify(release, evidence)

    def _of(self, release: Release) -> CatalogSource:
        for source in self._sources:
            if source.has(release):
                return source
        raise errors.CatalogRefused(
            family=release.family, cause="there is no source for what its URL names."
        )
