"""What publishers have on their web servers, or mirrors of them: bounded, and by the one fetch."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence

from imagesvc import errors
from imagesvc.stream import digest_list
from imagesvc.stream.fetch import FetchedBody
from imagesvc.stream.source import UrlSource

PAGE_BYTES_MAX = digest_list.BYTES_MAX
SIGNATURE_BYTES_MAX = 1 << 16
_READ_BYTES = 1 << 16
# So long a page, a list or a signature may take: a request may wait for it.
_PAGE_S = 120.0


class CatalogWeb:
    """Reads what is published. `mirrors` are folders -> the folders that are asked instead."""

    def __init__(self, urls: UrlSource, mirrors: Mapping[str, str], image_max_bytes: int) -> None:
        self._urls = urls
        self._mirrors = mirrors
        self._image_max_bytes = image_max_bytes

    def read(self, family: str, url: str, max_bytes: int = PAGE_BYTES_MAX) -> bytes:
        """All that is at a URL. Raises CatalogRefused with what is wrong."""
        name = _name(url)
        try:
            with self._open(url, max_bytes) as body:
                return b"".join(iter(lambda: body.read(_READ_BYTES), b""))
        except errors.FetchFailed as exc:  # the operator wrote the URL, and may know what is there
            raise refused(family, f"{name} cannot be read: {exc.operator_message}.") from exc
        except errors.TooLarge as exc:
            raise refused(family, f"{name} has more than {max_bytes} bytes.") from exc
        except errors.InvalidRequest as exc:
            raise refused(family, f"{name} cannot be read: {exc.text}") from exc

    @contextlib.contextmanager
    def open(self, family: str, url: str) -> Iterator[FetchedBody]:
        """An image. Raises CatalogRefused, FetchFailed, TooLarge; `read` the last two."""
        with contextlib.ExitStack() as stack:
            try:
                body = stack.enter_context(self._open(url, self._image_max_bytes))
            except errors.FetchFailed as exc:  # as above
                cause = f"{_name(url)} cannot be read: {exc.operator_message}."
                raise refused(family, cause) from exc
            except errors.InvalidRequest as exc:
                raise refused(family, f"{_name(url)} cannot be read: {exc.text}") from exc
            yield body

    def _open(self, url: str, max_bytes: int) -> contextlib.AbstractContextManager[FetchedBody]:
        urls = self._urls.published(max_bytes)
        if max_bytes <= PAGE_BYTES_MAX:
            urls = urls.hasty(_PAGE_S)
        mirrored = self.mirrored(url)
        return urls.open(url) if mirrored == url else urls.trusting(mirrored).open(mirrored)

    def mirrored(self, url: str) -> str:
        """Where a URL is asked for."""
        prefixes = [one for one in self._mirrors if url.startswith(one)]
        if not prefixes:
            return url
        longest = max(prefixes, key=len)
        return self._mirrors[longest] + url.removeprefix(longest)


def mirrors(lines: Sequence[str]) -> Mapping[str, str]:
    """Folder -> folder that is asked instead, of `[catalog] mirror_map`. Raises ConfigurationError."""
    found = {}
    for line in lines:
        published, arrow, mirror = (part.strip() for part in line.partition("->"))
        folders = published.endswith("/") and mirror.endswith("/")
        if not (arrow and folders and published.startswith("https://")):
            raise errors.ConfigurationError(
                "[catalog] mirror_map: {line!r} is not of the form https://publisher/folder/ -> "
                "http://mirror/folder/.",
                line=line,
            )
        found[published] = mirror
    return found


def refused(family: str, cause: str) -> errors.CatalogRefused:
    """What is said of a family whose source is not believed."""
    return errors.CatalogRefused(family=family, cause=cause)


def _name(url: str) -> str:
    """The last of a URL, which says what it is of."""
    return url.rstrip("/").rpartition("/")[2] + ("/" if url.endswith("/") else "")
