"""The newest builds in a folder that any web server can serve: a mirror for a site without network.

A file lies at HOST/PATH of its URL, so that `[catalog] mirror_map` leads there. Lists and signatures
come along as their publishers made them: whoever takes the builds checks them by the publishers' keys.
"""

import contextlib
import dataclasses
import hashlib
import html
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from imagesvc import errors
from imagesvc.context import RequestContext
from imagesvc.domain.catalog import Evidence, Release
from imagesvc.manager.catalog_source import CatalogSource
from imagesvc.manager.operation import Operation
from imagesvc.policy.check import Enforcer

INDEX = "index.html"
_READ_BYTES = 1 << 20


@dataclasses.dataclass(frozen=True, slots=True)
class Bundled:
    """A build that is in the folder; `fetched_bytes` is 0 if it was there already."""

    release: Release
    fetched_bytes: int


class CatalogBundler:
    """For administrators; changes nothing of the service."""

    def __init__(self, operation: Operation, enforcer: Enforcer, source: CatalogSource) -> None:
        self._operation = operation
        self._enforcer = enforcer
        self._source = source

    def write(self, ctx: RequestContext, family: str, folder: Path) -> Bundled | None:
        """Put the newest build of a family into a folder; None for one that no publisher has.

        Safe to repeat: what is there and right stays. Raises Forbidden, FamilyNotFound,
        CatalogRefused, FetchFailed, TooLarge, OSError for the folder.
        """
        with self._operation.look(ctx, "catalog:plan", "catalog"):
            self._enforcer.authorize(ctx, "catalog:plan")
        found = self._source.resolve(family)
        release = found.release
        if not release.url.startswith("https://"):
            return None
        fetched = self._fetch(release, found.evidence, folder / _place(release.url))
        for url, data in (
            (found.signature_url, found.evidence.signature_bytes),
            (release.list_url, found.evidence.list_bytes),
        ):
            if url and data is not None:
                _replace(folder / _place(url), data)
        for one in _folders(folder / _place(release.url), folder):
            _replace(one / INDEX, _index(one))
        return Bundled(release, fetched)

    def _fetch(self, release: Release, evidence: Evidence, path: Path) -> int:
        """The image itself, held against its digest and signature; the bytes that were fetched."""
        if path.is_file() and _digest(path, release.digest[0]) == release.digest[1]:
            return 0
        path.parent.mkdir(parents=True, exist_ok=True)
        judge, part = self._source.judge(release, evidence), path.with_name(f".{path.name}.part")
        with _gone_at_the_end(part):
            with part.open("wb") as file, self._source.open(release) as body:
                while data := body.read(_READ_BYTES):
                    file.write(data)
            if _digest(part, release.digest[0]) != release.digest[1]:
                raise errors.CatalogRefused(
                    family=release.family,
                    cause="the bytes that came do not have the digest that was given.",
                )
            if judge is not None:
                judge(part)
            size_bytes = part.stat().st_size
            part.rename(path)
            return size_bytes


def _place(url: str) -> Path:
    parts = urlsplit(url)
    return Path(parts.netloc, *(one for one in parts.path.split("/") if one))


def _digest(path: Path, algorithm: str) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def _replace(path: Path, data: bytes) -> None:
    part = path.with_name(f".{path.name}.part")
    part.write_bytes(data)
    part.rename(path)


def _folders(path: Path, top: Path) -> Iterator[Path]:
    """The folders from a file up to that of its host."""
    for one in path.parents:
        if one == top:
            return
        yield one


def _index(folder: Path) -> bytes:
    """A page with a link to each file and folder."""
    names = sorted(
        one.name + "/" * one.is_dir()
        for one in folder.iterdir()
        if one.name != INDEX and not one.name.startswith(".")
    )
    links = "".join(f'<a href="{html.escape(one)}">{html.escape(one)}</a>\n' for one in names)
    return f"<!DOCTYPE html>\n{links}".encode()


@contextlib.contextmanager
def _gone_at_the_end(path: Path) -> Iterator[None]:
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
