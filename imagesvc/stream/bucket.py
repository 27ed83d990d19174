"""A bucket of somebody else's, reached with that one's key and by the rules of every fetch.

S3 API of 2006-03-01, path style. Each request goes to a pinned address that was judged, as
`stream/fetch.py` does it; redirects are not followed, since a signature is for one host.
"""

import contextlib
import dataclasses
import datetime
import re
import time
from collections.abc import Iterable, Iterator, Mapping

from imagesvc import errors
from imagesvc.stream import bucket_fault, fetch, fetch_hop, fetch_pace, fetch_rule, fetch_url
from imagesvc.stream import s3_signature as signature

ATTEMPTS = 3
PAUSE_S = 0.5
# What an object carries for its maker to know it again.
MARK = "x-amz-meta-imagesvc-write"
_ANSWER_BYTES_MAX = 1 << 20
_SIZE = re.compile(r"[0-9]{1,19}")


@dataclasses.dataclass(frozen=True, slots=True)
class Answer:
    """Status, headers with small letters, and the body up to 1 MiB."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclasses.dataclass(frozen=True, slots=True)
class Found:
    """An object that is there; `mark` is that of the write that made it, if it was one of ours."""

    size_bytes: int
    etag: str
    mark: str = ""


class Bucket:
    """Calls on one bucket; for many threads.

    All raise BucketRefused for what the other side does not do, with the cause, and BucketAway
    for no answer, after a few tries.
    """

    def __init__(
        self,
        endpoint: str,
        name: str,
        credentials: signature.Credentials,
        rules: fetch_rule.FetchRules,
    ) -> None:
        self._endpoint = fetch_url.parse(endpoint).origin
        self.name = name
        self._credentials = credentials
        self._rules = rules

    def look(self, key: str) -> Found | None:
        """The object, or None. Raises BucketRefused without the right to look."""
        answer = self.try_call("HEAD", key)
        if answer.status == 200:
            text = answer.headers.get("content-length", "")
            if not _SIZE.fullmatch(text):
                raise errors.BucketRefused(cause="it does not say how large the object is.")
            return Found(int(text), answer.headers.get("etag", ""), answer.headers.get(MARK, ""))
        # The answer to a HEAD has no body that says more.
        told = self.try_call("GET", key, headers={"Range": "bytes=0-0"})
        if told.status == 404 and bucket_fault.code(told.body) != "NoSuchBucket":
            return None
        raise bucket_fault.refused(self.name, key, told.status, told.body)

    @contextlib.contextmanager
    def open(self, key: str, found: Found) -> Iterator["BucketBody"]:
        """Read what was found, and nothing else; its change meanwhile is BucketAway. `read` raises
        TooLarge as well."""
        now = datetime.datetime.now(datetime.UTC)
        url = signature.presigned(self._credentials, self._url(key), now)
        wanted = {"If-Match": found.etag} if found.etag else {}
        with bucket_fault.away(), fetch.open_url(url, self._rules, headers=wanted) as body:
            yield BucketBody(self, key, found, body)

    def put(self, key: str, data: bytes, headers: Mapping[str, str] | None = None) -> None:
        """Write a small object at once."""
        self.call("PUT", key, headers=headers, body=data)

    def delete(self, key: str) -> None:
        """Remove an object; one that is gone is success."""
        self.call("DELETE", key, fine=(404,))

    def call(
        self,
        method: str,
        key: str = "",
        *,
        query: Iterable[tuple[str, str]] = (),
        headers: Mapping[str, str] | None = None,
        body: bytes | memoryview = b"",
        fine: tuple[int, ...] = (),
        attempts: int = ATTEMPTS,
    ) -> Answer:
        """One request, refused unless it succeeds or its status is `fine`."""
        answer = self.try_call(
            method, key, query=query, headers=headers, body=body, attempts=attempts
        )
        if 200 <= answer.status < 300 or answer.status in fine:
            return answer
        raise bucket_fault.refused(self.name, key, answer.status, answer.body)

    def try_call(
        self,
        method: str,
        key: str = "",
        *,
        query: Iterable[tuple[str, str]] = (),
        headers: Mapping[str, str] | None = None,
        body: bytes | memoryview = b"",
        attempts: int = ATTEMPTS,
    ) -> Answer:
        """One request with whatever comes of it; what may pass is tried `attempts` times."""
        url = self._url(key, tuple(query))
        for attempt in range(1, attempts + 1):
            try:
                answer = self._send(method, url, headers or {}, body)
            except fetch_hop.BROKEN as exc:
                if attempt == attempts:
                    raise errors.BucketAway(operator_message=f"{url.origin}: {exc}") from exc
            else:
                if not bucket_fault.is_passing(answer.status, answer.body):
                    return answer
                if attempt == attempts:
                    said = f"{url.origin}: answered {answer.status}"
                    raise errors.BucketAway(operator_message=said)
            time.sleep(PAUSE_S * attempt)
        raise AssertionError("there is at least one attempt")

    def _send(
        self, method: str, url: fetch_url.Url, headers: Mapping[str, str], body: bytes | memoryview
    ) -> Answer:
        rules = self._rules
        pace = fetch_pace.Pace(
            idle_s=rules.idle_timeout_s, rate_bytes=0, total_s=rules.total_timeout_s
        )
        pace.begin_head(rules.answer_timeout_s)
        now = datetime.datetime.now(datetime.UTC)
        signed = signature.headers(self._credentials, method, url, headers, body, now)
        with fetch_hop.Hop(url, rules, pace, signed, method, body) as hop:
            text = b""
            while len(text) < _ANSWER_BYTES_MAX and (data := hop.read(64 << 10)):
                text += data
            return Answer(hop.status, hop.headers(), text)

    def _url(self, key: str, pairs: tuple[tuple[str, str], ...] = ()) -> fetch_url.Url:
        path = signature.encode(f"/{self.name}/{key}" if key else f"/{self.name}", safe="/")
        tail = f"?{signature.query(pairs)}" if pairs else ""
        return fetch_url.parse(f"{self._endpoint}{path}{tail}")


class BucketBody:
    """The bytes of an object; after the last one it is looked at once more. One thread."""

    def __init__(self, bucket: Bucket, key: str, found: Found, body: fetch.FetchedBody) -> None:
        self._bucket = bucket
        self._key = key
        self._found = found
        self._body = body
        self.size: int | None = found.size_bytes

    def read(self, size: int, /) -> bytes:
        """Give at most `size` bytes; none at the end. Raises BucketAway, TooLarge."""
        with bucket_fault.away():
            data = self._body.read(size)
        if size > 0 and not data:
            now = self._bucket.look(self._key)
            if now is None or now.etag != self._found.etag:
                raise errors.BucketAway(operator_message="the object changed while it was read")
        return data
