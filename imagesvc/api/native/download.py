"""What both doors to the bytes of a disk share."""

import falcon

from imagesvc import errors
from imagesvc.api import byte_range
from imagesvc.manager import image_bytes

INDEX_DIGITS_MAX = 4


def disk_index(image_id: str, text: str) -> int:
    """The number of a disk in a path. Raises DiskNotFound for what is no number."""
    if not (text.isascii() and text.isdigit()) or len(text) > INDEX_DIGITS_MAX:
        raise errors.DiskNotFound(image_id=image_id, disk=text)
    return int(text)


def answer(
    req: falcon.Request,
    resp: falcon.Response,
    found: image_bytes.Download,
    span: byte_range.Span | None,
) -> None:
    """Send an open download."""
    resp.content_type = "application/octet-stream"
    resp.etag = found.etag
    byte_range.answer(req, resp, found.stream, found.size_bytes, span)
