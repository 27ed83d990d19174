"""Which build of a family a publisher has newest, by the names in its folders."""

import re
from collections.abc import Iterable
from urllib.parse import urljoin

from imagesvc.domain import catalog_pattern
from imagesvc.domain.catalog_pattern import Pattern
from imagesvc.manager.catalog_web import CatalogWeb, refused

NAMES_MAX = 50_000
_HREF = re.compile(rb"""\bhref\s*=\s*["']?([^"'<>\s]{1,512})""", re.IGNORECASE)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+~-]{0,254}/?")


def newest_folder(web: CatalogWeb, family: str, base: str, builds: str) -> tuple[str, str]:
    """The folder of the newest build in `base`, and the build. Raises CatalogRefused."""
    first, slash, rest = builds.partition("/")
    name, build = newest_name(web, family, base, first + slash)
    return base + name + rest, build


def newest_name(web: CatalogWeb, family: str, folder: str, pattern: str) -> tuple[str, str]:
    """The newest name of a form in a folder, and its build. Raises CatalogRefused."""
    return newest_of(family, names(web, family, folder), pattern, f"the index of {_short(folder)}")


def newest_of(family: str, found: Iterable[str], pattern: str, where: str) -> tuple[str, str]:
    """The newest of names of a form, and its build. Raises CatalogRefused."""
    newest = Pattern(pattern).newest(found)
    if newest is None:
        raise refused(family, f"{where} names nothing of the form {pattern}.")
    return newest


def names(web: CatalogWeb, family: str, folder: str) -> frozenset[str]:
    """Plain names that the page of a folder links to; those of folders end in a slash.

    Raises CatalogRefused.
    """
    page, asked = web.read(family, folder), web.mirrored(folder)
    found = set()
    for count, link in enumerate(_HREF.findall(page)):
        if count == NAMES_MAX:
            raise refused(family, f"the index of {_short(folder)} has more than {count} links.")
        name = _below(asked, link.decode("ascii", "replace"))
        if _NAME.fullmatch(name):
            found.add(name)
    return frozenset(found)


def build_of(name: str, pattern: str) -> str:
    """The build that a name tells, empty if it tells none."""
    has_one = catalog_pattern.is_pattern(pattern)
    return (Pattern(pattern).build(name) or "") if has_one else ""


def _below(folder: str, link: str) -> str:
    """What a link names in the folder, empty for what is elsewhere."""
    try:
        target = urljoin(folder, link)
    except ValueError:  # a link that is no URL leads nowhere
        return ""
    return target.removeprefix(folder) if target.startswith(folder) else ""


def _short(folder: str) -> str:
    return folder.rstrip("/").rpartition("/")[2] + "/"
