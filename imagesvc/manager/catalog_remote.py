"""Families whose images somebody else publishes: the newest build, and what proves it.

`latest` is never kept: what is found is a URL with a digest. Where only an undated name exists, the
digest tells builds apart.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from imagesvc import errors
from imagesvc.domain import catalog_pattern
from imagesvc.domain.catalog import Evidence, Release, Signature
from imagesvc.domain.catalog_family import CatalogFamily
from imagesvc.interface.catalog import CatalogEntry
from imagesvc.interface.catalog_entry import Checksums, Source, has_placeholder
from imagesvc.manager import catalog_index, catalog_proof
from imagesvc.manager.catalog_entry import CatalogEntries
from imagesvc.manager.catalog_source import Body, Resolved
from imagesvc.manager.catalog_web import SIGNATURE_BYTES_MAX, CatalogWeb, refused
from imagesvc.stream import digest_list
from imagesvc.stream.digest_list import UnusableListError

_DIGEST_CHARS = 12


class RemoteSource:
    """Reads the entries anew whenever it is asked."""

    def __init__(self, entries: CatalogEntries, web: CatalogWeb) -> None:
        self._entries = entries
        self._web = web

    def families(self) -> Sequence[CatalogFamily]:
        """By id; one whose entry cannot be used is off, and says why."""
        return tuple(one.family for one in self._entries.all().values())

    def has(self, release: Release) -> bool:
        """Whether a release was published on a web server."""
        return release.url.startswith("https://")

    def resolve(self, family: str) -> Resolved:
        """The newest build, with the list and signature that name it. Raises CatalogRefused."""
        entry = self._usable(family)
        source = entry.family.source
        if source.kind == "pinned":
            return Resolved(_pinned(entry))
        return _Search(self._web, entry).run()

    @contextlib.contextmanager
    def open(self, release: Release) -> Iterator[Body]:
        """The bytes of a build, as the entry still names it. Raises CatalogRefused, FetchFailed."""
        entry = self._usable(release.family)
        if not release.url.startswith(entry.family.source.base or "https://"):
            raise refused(release.family, "its entry names another place by now.")
        with self._web.open(release.family, release.url) as body:
            yield body

    def judge(self, release: Release, evidence: Evidence) -> Callable[[Path], None] | None:
        """What holds a file against the signature of the image. Raises CatalogRefused."""
        entry = self._usable(release.family)
        signed = entry.family.source.signed
        if signed is None or signed.image is None:
            return None
        beside = evidence.signature_bytes
        if beside is None:  # of a lock file, which keeps no signature
            folder, _, image = release.url.rpartition("/")
            name = catalog_pattern.fill(signed.image, build=release.build, image=image)
            beside = self._web.read(release.family, f"{folder}/{name}", SIGNATURE_BYTES_MAX)

        def judge(path: Path) -> None:
            if catalog_proof.of_image(entry, beside, path) != release.signature:
                raise refused(release.family, "the signature of the image is another one.")

        return judge

    def verify(self, release: Release, evidence: Evidence) -> None:
        """Whether the kept list names the digest, and its signature is good. Raises CatalogRefused."""
        known = self._entries.all().get(release.family)
        entry = known.entry if known else None
        if entry is None or entry.family.source.checksums is None:
            raise refused(release.family, "there is no entry with a list of it any more.")
        if release.signature and len(entry.keys) < len(_keys(entry.family.source)):
            raise refused(release.family, f"its signature cannot be checked: {entry.off}.")
        data, signature = catalog_proof.of_list(
            entry, evidence.list_bytes or b"", evidence.signature_bytes, again=True
        )
        signed = entry.family.source.signed
        if signed and signed.image is not None and evidence.signature_bytes is not None:
            signature = catalog_proof.of_image(entry, evidence.signature_bytes, again=True)
        if signature != release.signature:
            raise refused(release.family, "the kept signature is another one.")
        name = release.url.rpartition("/")[2]
        if _digest(release.family, data, name, entry.family.source.checksums) != release.digest:
            raise refused(release.family, "the kept list names another digest.")

    def _usable(self, family: str) -> CatalogEntry:
        known = self._entries.all().get(family)
        if known is None:
            raise errors.FamilyNotFound(family=family)
        if known.entry is None or known.family.off:
            raise refused(family, known.family.off)
        return known.entry


class _Search:
    """Finds the newest build of one family."""

    def __init__(self, web: CatalogWeb, entry: CatalogEntry) -> None:
        self._web = web
        self._entry = entry
        self._family = entry.family.id
        self._source = entry.family.source
        self._folder = self._source.base or ""
        self._build = ""

    def run(self) -> Resolved:
        """Raises CatalogRefused."""
        source = self._source
        checksums = source.checksums
        if checksums is None:
            raise refused(self._family, "its entry has no list.")
        if source.builds is not None:
            self._folder, self._build = catalog_index.newest_folder(
                self._web, self._family, self._folder, source.builds
            )
        form = catalog_pattern.fill(source.image or "", build=self._build)
        image = form if not has_placeholder(form) else ""
        if not image and _is_named_by_image(source):
            image, _ = catalog_index.newest_name(self._web, self._family, self._folder, form)
        list_name = self._name(checksums.file, image)
        list_bytes = self._web.read(self._family, self._folder + list_name)
        beside = self._beside(image)
        data, signature = catalog_proof.of_list(self._entry, list_bytes, beside)
        if not image:
            found = _names(self._family, data, checksums)
            image, _ = catalog_index.newest_of(self._family, found, form, "the list")
        digest = _digest(self._family, data, image, checksums)
        if source.signed and source.signed.image is not None:
            beside, signature = self._image_signature(image)
        build = self._build or catalog_index.build_of(image, form)
        release = Release(
            family=self._family,
            build=build or digest[1][:_DIGEST_CHARS],
            url=self._folder + image,
            digest=digest,
            size_bytes=None,
            trust=source.trust,
            order=catalog_pattern.order(build),
            list_url=self._folder + list_name,
            signature=signature,
        )
        return Resolved(release, Evidence(list_bytes, beside), self._signature_url(image))

    def _name(self, text: str, image: str) -> str:
        name = catalog_pattern.fill(text, build=self._build, image=image)
        if not has_placeholder(name):
            return name
        return catalog_index.newest_name(self._web, self._family, self._folder, name)[0]

    def _beside(self, image: str) -> bytes | None:
        """The signature of the list, if it is in a file of its own."""
        signed = self._source.signed
        if signed is None or signed.detached is None:
            return None
        return self._web.read(self._family, self._signature_url(image), SIGNATURE_BYTES_MAX)

    def _image_signature(self, image: str) -> tuple[bytes, Signature]:
        beside = self._web.read(self._family, self._signature_url(image), SIGNATURE_BYTES_MAX)
        return beside, catalog_proof.of_image(self._entry, beside)

    def _signature_url(self, image: str) -> str:
        """Where the signature of the list or the image is; empty if it is in no file of its own."""
        signed = self._source.signed
        name = (signed.detached or signed.image) if signed else None
        if name is None:
            return ""
        return self._folder + catalog_pattern.fill(name, build=self._build, image=image)


def _pinned(entry: CatalogEntry) -> Release:
    source = entry.family.source
    algorithm, _, value = (source.digest or "").partition(":")
    return Release(
        family=entry.family.id,
        build=value[:_DIGEST_CHARS],
        url=f"{source.base}{source.image}",
        digest=(algorithm, value),
        size_bytes=None,
        trust=source.trust,
    )


def _is_named_by_image(source: Source) -> bool:
    """Whether the list or its signature has the image's name in its own."""
    return any("{image}" in one for one in source.names())


def _keys(source: Source) -> Sequence[str]:
    return source.signed.keys if source.signed else ()


def _names(family: str, data: bytes, checksums: Checksums) -> frozenset[str]:
    try:
        return digest_list.names(data, grammar=checksums.grammar)
    except UnusableListError as exc:  # told as the family's fault
        raise refused(family, str(exc)) from exc


def _digest(family: str, data: bytes, name: str, checksums: Checksums) -> tuple[str, str]:
    try:
        return digest_list.digest_of(data, name, grammar=checksums.grammar)
    except UnusableListError as exc:  # as above
        raise refused(family, str(exc)) from exc
