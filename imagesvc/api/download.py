"""A download as HTTP answers it: conditions, HEAD, one range, the whole (RFC 9110)."""

from typing import BinaryIO, Protocol

import falcon

from imagesvc.api import byte_range


class Found(Protocol):
    """Bytes that never change under their `etag`, ready to be opened."""

    @property
    def size_bytes(self) -> int: ...
    @property
    def etag(self) -> str | None: ...
    def open(self, offset: int = 0, length: int | None = None) -> BinaryIO: ...


def answer(req: falcon.Request, resp: falcon.Response, found: Found) -> None:
    """Answer GET or HEAD. Raises InvalidRequest for a range that cannot be met.

    A HEAD says what a GET without Range would; nothing is opened for it, nor for a caller
    that has the bytes already.
    """
    if _has_it(req, found.etag):
        resp.status = falcon.HTTP_304
        resp.etag = found.etag
        return
    if req.method == "HEAD":
        resp.content_length = found.size_bytes
    else:
        _send(req, resp, found)
    # Last, since an error that is raised above has a body of another type.
    resp.content_type = "application/octet-stream"
    resp.etag = found.etag
    resp.set_header("Accept-Ranges", "bytes")


def _send(req: falcon.Request, resp: falcon.Response, found: Found) -> None:
    span = None
    if (asked := byte_range.asked(req, found.etag)) is not None:
        span = byte_range.parse(asked, found.size_bytes)
    stream = found.open(span.offset, span.length) if span else found.open()
    byte_range.answer(req, resp, stream, found.size_bytes, span)


def _has_it(req: falcon.Request, etag: str | None) -> bool:
    return any(tag == "*" or tag == etag for tag in req.if_none_match or ())
