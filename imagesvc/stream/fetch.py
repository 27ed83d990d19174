"""THE one way to read a URL that a user gave: pinned address, bounds of time and bytes.

No other module opens a connection to a host that a user named. The text of a failure is always
the same, so that nobody learns which hosts and ports exist; the operator's log has the cause.
"""

import contextlib
import re
import time
from collections.abc import Iterator, Mapping

from imagesvc import errors
from imagesvc.stream import fetch_hop, fetch_pace, fetch_url
from imagesvc.stream.fetch_rule import FetchRules, check

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_OK, _PARTIAL = 200, 206
_RESUMES_MAX = 3
_STRONG_ETAG = re.compile(r'"[\x21\x23-\x7e]*"')
_CONTENT_RANGE = re.compile(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19})")


def check_url(url: str, rules: FetchRules) -> None:
    """Judge a URL before any work: grammar, scheme, port, and a host that is an address.

    Names are not resolved. Raises InvalidRequest (URL_REFUSED).
    """
    check(fetch_url.parse(url), rules)


@contextlib.contextmanager
def open_url(
    url: str,
    rules: FetchRules,
    *,
    headers: Mapping[str, str] | None = None,
    offset: int = 0,
    begin: int = 0,
) -> Iterator["FetchedBody"]:
    """Open what is at `url`; its bytes from `offset` on are read inside the block.

    `headers` go to the host of `url` and to no other that it redirects to. An `offset` in bytes
    needs the strong ETag that was seen before as `If-Range` in them; other bytes since then are
    a failure. `begin` asks for the part from there on of whatever is there now; `at` of the body
    says whether it came, for some servers send the whole instead. Raises InvalidRequest
    (URL_REFUSED) for what `check_url` refuses, FetchFailed for all else, TooLarge above
    `rules.max_bytes`; `read` raises the last two as well.
    """
    extra = dict(headers or {})
    etag = extra.pop("If-Range", "")
    if offset and not _STRONG_ETAG.fullmatch(etag):
        raise ValueError("an offset needs a strong ETag as If-Range")
    start = fetch_url.parse(url)
    check(start, rules)
    body = FetchedBody(start, rules, extra, offset or begin, etag)
    try:
        body.open()
        yield body
    finally:
        body.close()


class FetchedBody:
    """The bytes of a URL as they come; `size` is of the whole, None if the server does not say.

    A connection that breaks is opened again where it broke, if the server named these bytes with
    a strong ETag; `etag` is empty if it did not. One thread.
    """

    def __init__(
        self,
        url: fetch_url.Url,
        rules: FetchRules,
        headers: Mapping[str, str],
        offset: int,
        etag: str,
    ) -> None:
        self._url = url
        self._rules = rules
        self._headers = headers
        self._at = offset
        self._resumes = 0
        self._seen = False
        self._hop: fetch_hop.Hop | None = None
        self._pace = fetch_pace.Pace(
            idle_s=rules.idle_timeout_s,
            rate_bytes=rules.min_rate_bytes,
            total_s=rules.total_timeout_s,
        )
        self.etag = etag
        self.size: int | None = None
        self.content_type = ""

    @property
    def at(self) -> int:
        """Where in the whole the next byte stands."""
        return self._at

    def open(self) -> None:
        """Send the request and follow redirects. Raises FetchFailed, TooLarge.

        A failure is told when the time for an answer is over, whatever came of it, unless the rules
        do not hide failures.
        """
        told_at = time.monotonic() + self._rules.answer_timeout_s
        try:
            self._begin()
        except fetch_hop.BROKEN as exc:
            if self._rules.hides_failures:
                time.sleep(max(0.0, told_at - time.monotonic()))
            raise self._failed(exc) from exc

    def close(self) -> None:
        """Close the connection; safe to repeat."""
        if self._hop is not None:
            self._hop.close()

    def read(self, size: int, /) -> bytes:
        """Give at most `size` bytes; none at the end. Raises FetchFailed, TooLarge."""
        while size > 0 and (self.size is None or self._at < self.size):
            wanted = size if self.size is None else min(size, self.size - self._at)
            try:
                data = self._hop.read(wanted) if self._hop else b""
                if not data and self.size is not None:
                    raise OSError(f"the answer ended at {self._at} of {self.size} bytes")
            except fetch_hop.BROKEN as exc:
                self._resume(exc)
                continue
            self._at += len(data)
            self._check_cap(self._at)
            return data
        return b""

    def _resume(self, cause: Exception) -> None:
        """Go on where it broke, a few times and only in the very same bytes."""
        self._resumes += 1
        if not self.etag or self.size is None or self._resumes > _RESUMES_MAX:
            raise self._failed(cause) from cause
        self.close()
        try:
            self._begin()
        except fetch_hop.BROKEN as exc:
            raise self._failed(exc) from exc

    def _begin(self) -> None:
        self._pace.begin_head(self._rules.answer_timeout_s)
        hop = self._hop = self._follow()
        seen = hop.header("ETag")
        strong = seen if _STRONG_ETAG.fullmatch(seen) else ""
        size = hop.length
        if self._at and not self._seen and not self.etag:  # whatever is there
            if hop.status == _OK:
                self._at = 0
            else:
                size = _size_of_part(hop, self._at)
        elif self._at:
            size = _size_of_part(hop, self._at)
            if strong != self.etag or self.size not in (None, size):
                raise ValueError("the server has other bytes now")
        elif hop.status != _OK:
            raise ValueError(f"the server answered {hop.status}")
        self.size, self.etag, self._seen = size, strong, True
        self.content_type = hop.header("Content-Type")
        self._check_cap(size or 0)
        self._pace.begin_body()

    def _follow(self) -> fetch_hop.Hop:
        url, extra = self._url, dict(self._headers)
        part = {"Range": f"bytes={self._at}-"} if self._at else {}
        if self._at and self.etag:
            part["If-Range"] = self.etag
        for _ in range(self._rules.max_redirects + 1):
            hop = fetch_hop.Hop(url, self._rules, self._pace, {**extra, **part})
            if hop.status not in _REDIRECTS:
                return hop
            with hop:
                following = _redirected(url, hop.header("Location"), self._rules)
            if following.origin != url.origin:
                extra = {}
            url = following
        raise ValueError("there are too many redirects")

    def _check_cap(self, count: int) -> None:
        if count > self._rules.max_bytes:
            raise errors.TooLarge(
                what="The image",
                limit=self._rules.max_bytes,
                unit="bytes",
                reason=errors.Reason.SIZE_CAP,
            )

    def _failed(self, cause: Exception) -> errors.FetchFailed:
        # Neither path nor query: signed URLs are secrets.
        return errors.FetchFailed(operator_message=f"{self._url.origin}: {cause}")


def _redirected(url: fetch_url.Url, location: str, rules: FetchRules) -> fetch_url.Url:
    """Judge a redirect as if its URL had been given by the user, and one thing more."""
    try:
        following = fetch_url.join(url, location)
        check(following, rules)
    except errors.InvalidRequest as exc:  # the user gave another URL, so it is no fault of that
        raise ValueError(f"a redirect is not followed: {exc.text}") from exc
    if url.scheme == "https" and following.scheme != "https":
        raise ValueError("a redirect leads from https to http")
    return following


def _size_of_part(hop: fetch_hop.Hop, begin: int) -> int:
    """The whole's size, if the answer is all that follows `begin`."""
    found = _CONTENT_RANGE.fullmatch(hop.header("Content-Range"))
    if hop.status != _PARTIAL or found is None:
        raise ValueError(f"the server answered {hop.status} instead of the part asked for")
    first, last, size = (int(text) for text in found.groups())
    if first != begin or last != size - 1 or hop.length not in (None, size - begin):
        raise ValueError("the server sends another part than asked for")
    return size
