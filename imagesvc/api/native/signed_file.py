"""Bytes of a disk by a signed URL, for backends that hold no token."""

import falcon

from imagesvc import errors
from imagesvc.api import byte_range
from imagesvc.api.native import download, query
from imagesvc.manager import image_file as image_files

SIGNATURE_LENGTH = 64


class SignedFileResource:
    """One disk of one image, until the URL expires."""

    anonymous = True

    def __init__(self, files: image_files.ImageFileManager) -> None:
        self._files = files

    def on_get(self, req: falcon.Request, resp: falcon.Response, image_id: str, disk: str) -> None:
        """Give the bytes, or one range of them."""
        query.known(req, {"expires", "signature"})
        signature = query.text(req, "signature") or ""
        if len(signature) != SIGNATURE_LENGTH or not signature.isascii():
            raise errors.Forbidden("The URL is not valid, or no longer.")
        index = download.disk_index(image_id, disk)
        expires = query.integer(req, "expires", 0)
        found = self._files.open_signed(image_id, index, expires=expires, signature=signature)
        span = None
        if (asked := byte_range.asked(req, found.etag)) is not None:
            found.stream.close()
            span = byte_range.parse(asked, found.size_bytes)
            found = self._files.open_signed(
                image_id,
                index,
                expires=expires,
                signature=signature,
                offset=span.offset,
                length=span.length,
            )
        download.answer(req, resp, found, span)
