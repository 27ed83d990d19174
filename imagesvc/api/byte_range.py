"""Range and Content-Range (RFC 9110, section 14), and the answer that carries the bytes."""

import dataclasses
import re
from typing import Any, BinaryIO, Self

import falcon

from imagesvc import errors
from imagesvc.errors import Reason
from imagesvc.stream.pipe import BLOCK_BYTES

_RANGE = re.compile(r"\s*bytes\s*=\s*(.*)", re.IGNORECASE)
_SPAN = re.compile(r"\s*(\d{0,19})\s*-\s*(\d{0,19})\s*")
_CONTENT_RANGE = re.compile(r"\s*bytes\s+(\d{1,19})-(\d{1,19})/(?:\d{1,19}|\*)\s*", re.IGNORECASE)


@dataclasses.dataclass(frozen=True, slots=True)
class Span:
    """A part of `size` bytes."""

    offset: int
    length: int
    size: int

    @property
    def content_range(self) -> str:
        """The value of Content-Range."""
        return f"bytes {self.offset}-{self.offset + self.length - 1}/{self.size}"


def asked(req: falcon.Request, etag: str | None = None) -> str | None:
    """The part that a request asks for, in the words of Range; None for the whole.

    Content-Range on a request is read as a range, as old clients send it. A range under an
    If-Range that does not name `etag` is none.
    """
    condition = req.get_header("If-Range")
    if condition is not None and (etag is None or condition.strip('"') != etag.strip('"')):
        return None
    if (wanted := req.get_header("Range")) is not None:
        return wanted
    if (old := req.get_header("Content-Range")) is not None:
        match = _CONTENT_RANGE.fullmatch(old)
        return f"bytes={match[1]}-{match[2]}" if match else old
    return None


def parse(value: str, size: int) -> Span:
    """Work a range out against `size` bytes.

    Raises InvalidRequest: RANGES for several ranges, RANGE for a malformed one or one that
    starts beyond the end.
    """
    match = _RANGE.fullmatch(value)
    if match and "," in match[1]:
        raise errors.InvalidRequest("Only one range can be asked for.", reason=Reason.RANGES)
    span = _SPAN.fullmatch(match[1]) if match else None
    if span is None or not (span[1] or span[2]):
        raise _unsatisfiable(size)
    if not span[1]:
        length = min(int(span[2]), size)
        first, last = size - length, size - 1
    else:
        first = int(span[1])
        last = min(int(span[2]), size - 1) if span[2] else size - 1
    if first >= size or last < first:
        raise _unsatisfiable(size)
    return Span(first, last - first + 1, size)


def _unsatisfiable(size: int) -> errors.InvalidRequest:
    return errors.InvalidRequest(
        "The range is malformed or outside of the {size} bytes there are.",
        reason=Reason.RANGE,
        size=size,
    )


class Blocks:
    """At most `length` bytes of a stream, block by block; for one thread.

    It has no `read`: falcon would hand what has one to the server in pieces of 8 KiB, which cost
    half of the rate of encrypted bytes.
    """

    def __init__(self, stream: BinaryIO, length: int) -> None:
        self._stream = stream
        self._left = length

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        data = self._stream.read(min(BLOCK_BYTES, self._left)) if self._left else b""
        if not data:
            raise StopIteration
        self._left -= len(data)
        return data

    def close(self) -> None:
        """Close the stream below."""
        self._stream.close()


def answer(
    req: falcon.Request, resp: falcon.Response, stream: Any, size: int, span: Span | None
) -> None:
    """Answer with a stream that stands at the first byte of `span`, or of the whole.

    A real file goes to the server as it is, so that it can call sendfile; the server stops
    at Content-Length.
    """
    length = size if span is None else span.length
    resp.content_length = length
    resp.set_header("Accept-Ranges", "bytes")
    if span is not None:
        resp.status = falcon.HTTP_206
        resp.set_header("Content-Range", span.content_range)
    raw = hasattr(stream, "fileno") and "wsgi.file_wrapper" in req.env
    content: Any = stream if raw else Blocks(stream, length)
    resp.stream = content
