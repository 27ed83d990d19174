"""The bytes of an image: PUT and GET file."""

import re
from typing import Any

import falcon

from imagesvc import errors
from imagesvc.api import download, media
from imagesvc.backend.store import Stores
from imagesvc.errors import Reason

_SIZE = re.compile(r"\d{1,19}", re.ASCII)


class ImageFileResource:
    """The bytes of disk 0 (Glance v2, "Image data")."""

    body_bytes_max = None
    moves_bytes = True

    def __init__(self, image_files: Any, stores: Stores) -> None:
        self._image_files = image_files
        self._stores = stores

    def on_put(self, req: falcon.Request, resp: falcon.Response, image_id: str) -> None:
        """Take the bytes, plain or chunked."""
        require_octets(req)
        self._image_files.upload(
            req.context.caller,
            image_id,
            media.body(req),
            announced_size(req),
            store_id=req.get_header("X-Image-Meta-Store"),
        )
        resp.status = falcon.HTTP_204

    def on_get(self, req: falcon.Request, resp: falcon.Response, image_id: str) -> None:
        """Give the bytes, or one range of them."""
        preferred = tuple(filter(None, (req.get_param("prefer") or "").split(",")))
        for store_id in preferred:
            self._require(store_id)
        found = self._image_files.download(req.context.caller, image_id, preferred=preferred)
        if found.md5:
            resp.set_header("Content-MD5", found.md5)
        download.answer(req, resp, found)

    on_head = on_get

    def _require(self, store_id: str) -> None:
        if self._stores.find(store_id) is None:
            raise errors.InvalidRequest(
                "There is no store {store}.", store=store_id, reason=Reason.STORE_UNKNOWN
            )


def require_octets(req: falcon.Request) -> None:
    """Raise InvalidRequest (MEDIA_TYPE) for a body that is not said to be plain bytes."""
    if media.content_type(req) != "application/octet-stream":
        raise errors.InvalidRequest(
            "Image data must be application/octet-stream.", reason=Reason.MEDIA_TYPE
        )


def announced_size(req: falcon.Request) -> int | None:
    """The number of bytes announced, by whichever header; two must agree."""
    text = req.get_header("X-OpenStack-Image-Size")
    if text is not None and not _SIZE.fullmatch(text):
        raise errors.InvalidRequest("X-OpenStack-Image-Size must be a whole number.")
    announced = int(text) if text is not None else None
    length = req.content_length
    if announced is not None and length is not None and announced != length:
        raise errors.InvalidRequest(
            "X-OpenStack-Image-Size and Content-Length do not agree.", reason=Reason.SIZE_MISMATCH
        )
    return length if length is not None else announced
