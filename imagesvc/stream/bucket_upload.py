"""One object on its way into somebody else's bucket: parts at once, then one object or nothing."""

import concurrent.futures
import html
import re
from collections.abc import Callable
from types import TracebackType

from imagesvc import errors
from imagesvc.crashpoint import crashpoint
from imagesvc.stream import bucket, bucket_fault

MIB = 1 << 20
# So many parts are sent while the next one fills. S3 takes 10,000 parts of 5 MiB to 5 GiB.
THREADS = 3
PART_BYTES = 16 * MIB
_PARTS_MAX = 9_000
# Parts grow with the object, to 583 MiB: fewer are held then, but at least one.
HELD_BYTES = 256 * MIB
_OBJECT_BYTES_MAX = 5 << 40
# A page of S3's listing has no more; of a name no more digits than Python makes a number of.
_LISTED_MAX = 1_000
_KEY = re.compile(rb"<Key>([^<]{0,4096})</Key>")
_UPLOAD_ID = re.compile(rb"<UploadId>([^<]{1,1024})</UploadId>")
_ETAG = re.compile(r"[\x21-\x7e]{1,128}")
# Answers of servers that do not know the condition.
_UNCONDITIONAL = frozenset({400, 501})


class BucketUpload:
    """Takes `size_bytes` bytes; a context manager that gives up what was not committed.

    `mark` is kept with the object. Unless `replace`, an object of that key is left alone: the other
    side refuses, if it can, and it is looked for once more before the end. `beginning` is called
    right before a multipart upload is begun, and `begun` is told its id as soon as there is one;
    a small object needs none. Raises TooLarge for more than an object may have, BucketRefused,
    BucketAway.
    """

    def __init__(
        self,
        place: bucket.Bucket,
        key: str,
        *,
        size_bytes: int,
        mark: str,
        replace: bool,
        beginning: Callable[[], None],
        begun: Callable[[str], None],
    ) -> None:
        if size_bytes > _OBJECT_BYTES_MAX:
            raise errors.TooLarge(
                what="An object of a bucket", limit=_OBJECT_BYTES_MAX, unit="bytes"
            )
        self._bucket = place
        self._key = key
        self._size = size_bytes
        self._mark = mark
        self._replace = replace
        self._beginning = beginning
        self._begun = begun
        self._part_bytes = max(PART_BYTES, -(-size_bytes // _PARTS_MAX // MIB) * MIB)
        self._threads = min(THREADS, max(HELD_BYTES // self._part_bytes - 1, 0))
        self._upload_id = ""
        self._etags: dict[int, str] = {}
        self._sending: set[concurrent.futures.Future[None]] = set()
        self._pool: concurrent.futures.ThreadPoolExecutor | None = None
        self._buffer = bytearray()
        self._number = 0

    def __enter__(self) -> "BucketUpload":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def write(self, data: bytes) -> None:
        """Append."""
        self._buffer += data
        while len(self._buffer) > self._part_bytes:
            part, self._buffer = self._buffer, self._buffer[self._part_bytes :]
            del part[self._part_bytes :]
            self._send(memoryview(part))

    def commit(self) -> None:
        """Make it an object. Raises BucketRefused if there is one already."""
        if not self._upload_id:
            self._put_whole()
            return
        self._send(memoryview(self._buffer))
        self._collect(0)
        crashpoint("bucket.sent")
        self._check_free()
        parts = "".join(
            f"<Part><PartNumber>{number}</PartNumber><ETag>{html.escape(etag)}</ETag></Part>"
            for number, etag in sorted(self._etags.items())
        )
        body = f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode()
        self._end("POST", body, (("uploadId", self._upload_id),), {})
        self._upload_id = ""

    def close(self) -> None:
        """Give up what was not committed; safe to repeat."""
        if self._pool is not None:
            # A part that arrives after the abort would stay there.
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None
        upload_id, self._upload_id = self._upload_id, ""
        if upload_id:
            abort(self._bucket, self._key, upload_id)

    # ---------------------------------------------------------------- parts

    def _send(self, part: memoryview) -> None:
        if not self._upload_id:
            self._begin()
        self._number += 1
        if not self._threads:
            self._put_part(self._number, part)
            return
        self._collect(self._threads - 1)
        if self._pool is None:
            self._pool = concurrent.futures.ThreadPoolExecutor(self._threads, "bucket-part")
        self._sending.add(self._pool.submit(self._put_part, self._number, part))

    def _begin(self) -> None:
        self._beginning()
        headers = {bucket.MARK: self._mark}
        answer = self._bucket.call(
            "POST", self._key, query=(("uploads", ""),), headers=headers, attempts=1
        )
        found = _UPLOAD_ID.search(answer.body)
        if found is None:
            raise errors.BucketRefused(cause="it begins no upload in parts.")
        self._upload_id = html.unescape(found[1].decode("ascii", "replace"))
        crashpoint("bucket.answered")
        self._begun(self._upload_id)
        crashpoint("bucket.begun")

    def _put_part(self, number: int, part: memoryview) -> None:
        query = (("partNumber", str(number)), ("uploadId", self._upload_id))
        etag = self._bucket.call("PUT", self._key, query=query, body=part).headers.get("etag", "")
        if not _ETAG.fullmatch(etag):
            raise errors.BucketRefused(cause="it names no ETag of a part.")
        self._etags[number] = etag

    def _collect(self, room: int) -> None:
        """Wait until at most `room` parts are on their way. Raises what one of them raised."""
        while len(self._sending) > room:
            done, self._sending = concurrent.futures.wait(
                self._sending, return_when=concurrent.futures.FIRST_COMPLETED
            )
            for one in done:
                one.result()

    # --------------------------------------------------------------- ending

    def _put_whole(self) -> None:
        self._check_free()
        self._end("PUT", memoryview(self._buffer), (), {bucket.MARK: self._mark})

    def _end(
        self,
        method: str,
        body: bytes | memoryview,
        query: tuple[tuple[str, str], ...],
        headers: dict[str, str],
    ) -> None:
        """The request that makes the object; its answer may be lost, and then the mark tells."""
        condition = {} if self._replace else {"If-None-Match": "*"}
        for more in (condition, {}):
            try:
                answer = self._bucket.try_call(
                    method, self._key, query=query, headers=headers | more, body=body, attempts=1
                )
            except errors.BucketAway:
                if self._is_ours():
                    return
                raise
            if answer.status not in _UNCONDITIONAL or not more:
                break
        # S3 may say so in the body of a success that was begun too early.
        if answer.status != 200 or bucket_fault.code(answer.body):
            if not self._is_ours():
                raise bucket_fault.refused(self._bucket.name, self._key, answer.status, answer.body)
        elif not self._is_ours():
            raise errors.BucketRefused(cause=f"it did not keep the object {self._key}.")

    def _is_ours(self) -> bool:
        found = self._bucket.look(self._key)
        return found is not None and (found.mark, found.size_bytes) == (self._mark, self._size)

    def _check_free(self) -> None:
        if not self._replace and self._bucket.look(self._key) is not None:
            raise bucket_fault.refused(self._bucket.name, self._key, 412, b"")


def abort(place: bucket.Bucket, key: str, upload_id: str) -> None:
    """Give up the parts of an upload; one that is gone is success."""
    place.call("DELETE", key, query=(("uploadId", upload_id),), fine=(404,))


def unfinished(place: bucket.Bucket, key: str) -> frozenset[str]:
    """Ids of at most 1,000 uploads of this key that were begun and not ended.

    Raises BucketRefused.
    """
    answer = place.call("GET", query=(("prefix", key), ("uploads", "")))
    found: set[str] = set()
    # Split, since a pattern of begin and end takes minutes for 1 MiB of begins.
    for piece in answer.body.split(b"<Upload>")[1:]:
        if len(found) == _LISTED_MAX:
            break
        one = piece.partition(b"</Upload>")[0]
        name, upload_id = _KEY.search(one), _UPLOAD_ID.search(one)
        if name and upload_id and html.unescape(name[1].decode("utf-8", "replace")) == key:
            found.add(html.unescape(upload_id[1].decode("ascii", "replace")))
    return frozenset(found)
