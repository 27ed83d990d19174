"""Bytes of a disk by a signed URL, for backends that hold no token."""

import falcon

from imagesvc import errors
from imagesvc.api import download
from imagesvc.api.native import image_disk, query
from imagesvc.manager import image_file as image_files
from imagesvc.manager.signed_url import Proof

SIGNATURE_LENGTH = 64


def proof_of(req: falcon.Request) -> Proof:
    """What a signed URL says of itself. Raises Forbidden for what cannot be a signature."""
    signature = query.text(req, "signature") or ""
    if len(signature) != SIGNATURE_LENGTH or not signature.isascii():
        raise errors.Forbidden("The URL is not valid, or no longer.")
    return Proof(signature, query.text(req, "job"), query.integer(req, "expires", 0))


class SignedFileResource:
    """One disk of one image, until the job of the URL has ended."""

    anonymous = True
    moves_bytes = True

    def __init__(self, files: image_files.ImageFileManager) -> None:
        self._files = files

    def on_get(self, req: falcon.Request, resp: falcon.Response, image_id: str, disk: str) -> None:
        """Give the bytes, or one range of them."""
        query.known(req, {"job", "expires", "signature"})
        proof = proof_of(req)
        index = image_disk.disk_index(image_id, disk)
        found = self._files.open_signed(image_id, index, proof)
        download.answer(req, resp, found)

    on_head = on_get
