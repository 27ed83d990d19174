"""Where the releases of the catalog's families come from, as managers see it."""

import contextlib
import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from imagesvc.domain.catalog import Evidence, Release
from imagesvc.domain.catalog_family import CatalogFamily


class Body(Protocol):
    """Bytes as they come; `size` is of the whole, None if nobody says."""

    size: int | None

    def read(self, size: int, /) -> bytes: ...


@dataclasses.dataclass(frozen=True, slots=True)
class Resolved:
    """The newest release of a family, what says so, and where a signature beside it was read."""

    release: Release
    evidence: Evidence = dataclasses.field(default_factory=Evidence)
    signature_url: str = ""


class CatalogSource(Protocol):
    """Reads the entries and their sources; changes nothing."""

    def families(self) -> Sequence[CatalogFamily]:
        """All families by id, also those that are off, and those whose entries cannot be used."""

    def has(self, release: Release) -> bool:
        """Whether a release is of this source."""

    def resolve(self, family: str) -> Resolved:
        """Ask the source. Raises CatalogRefused with what is wrong, also for a family that is off."""

    def open(self, release: Release) -> contextlib.AbstractContextManager[Body]:
        """The bytes of a release, judged by nobody yet; `read` raises too. Raises CatalogRefused,
        FetchFailed."""

    def judge(self, release: Release, evidence: Evidence) -> Callable[[Path], None] | None:
        """What raises CatalogRefused unless a file has the bytes that the publisher signed.

        None if it is not the bytes themselves that are signed. Raises CatalogRefused.
        """

    def verify(self, release: Release, evidence: Evidence) -> None:
        """Whether the kept list and signature say what they said; offline. Raises CatalogRefused."""
