"""Bytes of a disk by a signed URL, for backends that hold no token."""

import falcon

from imagesvc import errors
from imagesvc.api import download
from imagesvc.api.native import image_disk, query
from imagesvc.manager import image_file as image_files

SIGNATURE_LENGTH = 64


class SignedFileResource:
    """One disk of one image, until the URL expires."""

    anonymous = True
    moves_bytes = True

    def __init__(self, files: image_files.ImageFileManager) -> None:
        self._files = files

    def on_get(self, req: falcon.Request, resp: falcon.Response, image_id: str, disk: str) -> None:
        """Give the bytes, or one range of them."""
        query.known(req, {"expires", "signature"})
        signature = query.text(req, "signature") or ""
        if len(signature) != SIGNATURE_LENGTH or not signature.isascii():
            raise errors.Forbidden("The URL is not valid, or no longer.")
        index = image_disk.disk_index(image_id, disk)
        expires = query.integer(req, "expires", 0)
        found = self._files.open_signed(image_id, index, expires=expires, signature=signature)
        download.answer(req, resp, found)

    on_head = on_get
