"""Families that the operator builds: folders of this machine, in the folder [catalog] directory.

    FAMILY/family.yaml           what its images are
    FAMILY/BUILD/SHA256SUMS      one line: the digest and the name of the image beside it
    FAMILY/BUILD/...             the image

Builds are ordered by the numbers in their names, not as text. A build without its SHA256SUMS is not
finished, and is not seen. Nothing is fetched from a network.
"""

import contextlib
import datetime
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import msgspec
import yaml

from imagesvc import errors
from imagesvc.domain import catalog_family, catalog_pattern
from imagesvc.domain.catalog import Evidence, Release
from imagesvc.domain.catalog_family import KEEP_DEFAULT, CatalogFamily, Promise
from imagesvc.manager.catalog_source import Body, Resolved

ENTRY, SUMS = "family.yaml", "SHA256SUMS"
TRUST = "local"
_SCHEME = "folder:"
_ENTRY_BYTES_MAX = 1 << 16
_SUMS_BYTES_MAX = 1 << 12
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,254}")
_LINE = re.compile(rf"([0-9a-f]{{64}}) [ *]({_FILE.pattern})\n?")
_Count = Annotated[int, msgspec.Meta(ge=0, le=1 << 20)]


class PromiseEntry(msgspec.Struct, forbid_unknown_fields=True):
    """How long images stay; `until` and `id_until` are days."""

    replace: str = "never"
    keep: Annotated[int, msgspec.Meta(ge=1, le=1000)] = KEEP_DEFAULT
    until: datetime.date | None = None
    id_until: datetime.date | None = None


class FamilyEntry(msgspec.Struct, forbid_unknown_fields=True):
    """The file of a family; `min_disk_gib` is what the disk needs if it is not given."""

    title: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    disk_format: str
    properties: dict[str, str] = {}
    promise: PromiseEntry = msgspec.field(default_factory=PromiseEntry)
    min_disk_gib: _Count | None = None
    min_ram_mib: _Count = 0
    enabled: bool = True


class _File:
    """A file of this machine, as bytes that come."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.size: int | None = os.fstat(file.fileno()).st_size

    def read(self, size: int, /) -> bytes:
        """Give at most `size` bytes; none at the end."""
        return self._file.read(size)


class FolderSource:
    """Reads the folder anew whenever it is asked; a folder that is not there has no families."""

    def __init__(self, directory: str) -> None:
        self._directory = Path(directory)

    def families(self) -> Sequence[CatalogFamily]:
        """By id; one whose entry cannot be used is off, and says why."""
        with contextlib.suppress(FileNotFoundError):
            found = sorted(self._directory.iterdir())
            return tuple(_known(one) for one in found if (one / ENTRY).is_file())
        return ()

    def has(self, release: Release) -> bool:
        """Whether a release lies in a folder."""
        return release.url.startswith(_SCHEME)

    def resolve(self, family: str) -> Resolved:
        """The newest finished build. Raises CatalogRefused."""
        folder = self._folder(family)
        builds = [
            one.parent for one in folder.glob(f"*/{SUMS}") if _NAME.fullmatch(one.parent.name)
        ]
        if not builds:
            raise _refused(family, f"there is no build with a {SUMS} in its folder.")
        newest = max(builds, key=lambda one: (catalog_pattern.order(one.name), one.name))
        sums = _read(newest / SUMS, _SUMS_BYTES_MAX, family)
        line = _LINE.fullmatch(sums.decode("ascii", "replace"))
        if line is None:
            raise _refused(family, f"{SUMS} of build {newest.name} is not one line of a digest.")
        path = newest / line[2]
        try:
            size_bytes = path.stat().st_size
        except OSError as exc:  # the operator's folder, told to the operator
            raise _refused(family, f"its image cannot be read: {exc.strerror}.") from exc
        release = Release(
            family=family,
            build=newest.name,
            url=_url(family, newest.name, line[2]),
            digest=("sha256", line[1]),
            size_bytes=size_bytes,
            trust=TRUST,
            order=catalog_pattern.order(newest.name),
            list_url=_url(family, newest.name, SUMS),
        )
        return Resolved(release, Evidence(sums))

    @contextlib.contextmanager
    def open(self, release: Release) -> Iterator[Body]:
        """The bytes of a build. Raises CatalogRefused if it is gone."""
        name = release.url.rpartition("/")[2]
        path = self._folder(release.family) / release.build / name
        expected = _url(release.family, release.build, name)
        if (
            not _NAME.fullmatch(release.build)
            or not _FILE.fullmatch(name)
            or release.url != expected
        ):
            raise _refused(release.family, f"{release.url} is not in its folder.")
        try:
            file = path.open("rb")
        except OSError as exc:  # the operator's folder, told to the operator
            raise _refused(release.family, f"its image cannot be read: {exc.strerror}.") from exc
        with file:
            yield _File(file)

    def judge(self, release: Release, evidence: Evidence) -> None:
        """Nothing is signed here."""

    def verify(self, release: Release, evidence: Evidence) -> None:
        """Whether the kept line names the digest. Raises CatalogRefused."""
        line = _LINE.fullmatch((evidence.list_bytes or b"").decode("ascii", "replace"))
        if line is None or ("sha256", line[1]) != release.digest:
            raise _refused(release.family, f"the kept {SUMS} names another digest.")

    def _folder(self, family: str) -> Path:
        if not _NAME.fullmatch(family):
            raise errors.FamilyNotFound(family=family)
        return self._directory / family


def _known(folder: Path) -> CatalogFamily:
    try:
        return _family(folder)
    except errors.CatalogRefused as exc:  # one entry's fault stops no other
        return catalog_family.faulty(folder.name, str(exc.facts["cause"]))


def _family(folder: Path) -> CatalogFamily:
    name = folder.name
    data = _read(folder / ENTRY, _ENTRY_BYTES_MAX, name)
    try:
        entry = msgspec.convert(_plain(yaml.safe_load(data)), FamilyEntry)
    except (yaml.YAMLError, msgspec.ValidationError, RecursionError) as exc:  # told to its author
        raise _refused(name, f"{ENTRY} is not usable: {exc}.") from exc
    if not _NAME.fullmatch(name):
        raise _refused(name, "a family is named in small letters, digits, dots and dashes.")
    promise = Promise(**msgspec.structs.asdict(entry.promise))
    values = {**msgspec.structs.asdict(entry), "promise": promise}
    off = "" if values.pop("enabled") else "it is switched off."
    return CatalogFamily(id=name, off=off, **values)


def _plain(value: Any) -> Any:
    """Days as YAML writes them are texts to whoever converts them."""
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    return value.isoformat() if isinstance(value, datetime.date) else value


def _url(family: str, build: str, name: str) -> str:
    """Where a file is, without the path of the folder: everybody may see it at the image."""
    return f"{_SCHEME}{family}/{build}/{name}"


def _read(path: Path, bytes_max: int, family: str) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(bytes_max + 1)
    except OSError as exc:  # the operator's folder, told to the operator
        raise _refused(family, f"{path.name} cannot be read: {exc.strerror}.") from exc
    if len(data) > bytes_max:
        raise _refused(family, f"{path.name} has more than {bytes_max} bytes.")
    return data


def _refused(family: str, cause: str) -> errors.CatalogRefused:
    return errors.CatalogRefused(family=family, cause=cause)
