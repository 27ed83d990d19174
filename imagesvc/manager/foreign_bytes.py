"""The bytes of images that stay at foreign URLs: a first look, and a download."""

import contextlib
import dataclasses
import logging
from collections.abc import Callable, Iterator, Mapping
from typing import BinaryIO, cast

from imagesvc import errors
from imagesvc.db import foreign_location
from imagesvc.db.engine import Database
from imagesvc.domain import disk_format
from imagesvc.domain.image import Image
from imagesvc.interface.errors import Unavailable
from imagesvc.manager.foreign_reader import Body, ForeignReader
from imagesvc.manager.image_bytes import Rules
from imagesvc.stream import container, source

LOG = logging.getLogger(__name__)

# What a look reads at most: more than the heads that the rules of formats begin with.
LOOK_BYTES = 256 << 10
LOOK_S = 30.0
_PLAIN = disk_format.JUDGED_FORMATS - disk_format.STRUCTURED_FORMATS
_FAILURES = (errors.FetchFailed, errors.TooLarge, errors.InvalidRequest)


@dataclasses.dataclass(frozen=True, slots=True)
class Sight:
    """What a look found in bytes of `formats` (disk, container); the virtual size is None if only
    the whole would tell."""

    size_bytes: int
    virtual_size_bytes: int | None
    formats: tuple[str | None, str | None]


class ForeignBytes:
    """Reads them by the one fetch function; `store_id` is None where the operator wants none."""

    def __init__(
        self, database: Database, urls: source.UrlSource, rules: Rules, store_id: str | None
    ) -> None:
        self._database = database
        self._urls = urls
        self._rules = rules
        self.store_id = store_id

    def check(self, url: str) -> None:
        """Judge a URL before any work. Raises InvalidRequest (URL_REFUSED)."""
        self._urls.check(url)

    def look(self, url: str, image: Image) -> Sight:
        """Ask how many bytes there are, and judge the first ones as those of the image's format.

        A short image is judged whole. Raises InvalidRequest for a server that does not say the
        size, UnsupportedImage, TooLarge, FetchFailed.
        """
        judge = container.inspector(
            image.disk_format or "",
            image.container_format,
            self._rules.virtual_cap_bytes,
            self._rules.unpacked_cap_bytes,
        )
        count, block = 0, b" "
        with self._urls.hasty(LOOK_S).open(url) as body:
            size = body.size
            self._rules.check_size(size or 0)
            while block and count < LOOK_BYTES:
                block = body.read(LOOK_BYTES - count)
                count += len(block)
                judge.feed(block)
        formats = (image.disk_format, image.container_format)
        if not block or count == size:
            return Sight(count, judge.finish(count).virtual_size_bytes, formats)
        if size is None:
            raise errors.InvalidRequest("The server does not say how many bytes there are.")
        return Sight(size, size if _is_plain(image) else None, formats)

    @contextlib.contextmanager
    def open(self, image: Image, begin: int = 0) -> Iterator[Body]:
        """Open the first of the image's locations that can, at byte `begin` if its server does so.

        Raises Unavailable if none can.
        """
        with self._database.read() as conn:
            places = foreign_location.of(conn, (image.id,)).get(image.id, ())
        failure: Exception = errors.NotFound("There is no location.")
        with contextlib.ExitStack() as stack:
            for place in places:
                try:
                    body = stack.enter_context(self._urls.open(place.url, begin=begin))
                    _require_size(body, image.size_bytes)
                except _FAILURES as exc:  # another location may do
                    LOG.warning("foreign URL not read image=%s: %s", image.id, _said(exc))
                    failure = exc
                    continue
                yield body
                return
        raise Unavailable(
            "The image's bytes are at a foreign URL, and could not be fetched just now.",
            _said(failure),
            retryable=False,  # whoever asked sees it, and may ask again
        )

    def download(self, image: Image, index: int, use: Callable[[], None]) -> "ForeignDownload":
        """The bytes of the image's one disk, ready to be opened.

        Raises DiskNotFound, BackendNotFound where the operator wants no foreign URLs any more.
        """
        if index != 0:
            raise errors.DiskNotFound(image_id=image.id, disk=index)
        if self.store_id is None:
            raise errors.BackendNotFound(kind="storage", backend_id=image.foreign_store)
        return ForeignDownload(image.size_bytes or 0, image.md5, image, self, use)


@dataclasses.dataclass(frozen=True, slots=True)
class ForeignDownload:
    """The bytes of an image, ready to be opened; `use` is called when they are. No ETag: nobody
    warrants that they stay."""

    size_bytes: int
    md5: str | None
    image: Image
    source: ForeignBytes
    use: Callable[[], None]
    etag: str | None = None

    def open(self, offset: int = 0, length: int | None = None) -> BinaryIO:
        """Open `length` bytes from `offset`, or all that follow; whoever calls closes.

        Raises Unavailable; see `ForeignReader` for what reading raises.
        """
        rest = self.size_bytes - offset
        with contextlib.ExitStack() as stack:
            body = stack.enter_context(self.source.open(self.image, offset))
            reader = ForeignReader(
                body,
                stack.close,
                size_bytes=self.size_bytes,
                offset=offset,
                length=rest if length is None else min(length, rest),
                digests=_digests(self.image),
            )
            reader.close = stack.pop_all().close
        self.use()
        return cast(BinaryIO, reader)


def _digests(image: Image) -> Mapping[str, str]:
    """What is known of the bytes, or was said of them."""
    found = {"md5": image.md5, image.hash_algorithm: image.hash_value}
    return {name: value for name, value in found.items() if name and value}


def _is_plain(image: Image) -> bool:
    wrapped = image.container_format in disk_format.WRAPPING_CONTAINERS
    return image.disk_format in _PLAIN and not wrapped


def _require_size(body: Body, size_bytes: int | None) -> None:
    if body.size not in (None, size_bytes):
        raise errors.FetchFailed(operator_message=f"it has {body.size} bytes of {size_bytes}")


def _said(exc: Exception) -> str:
    return str(getattr(exc, "operator_message", exc))
