"""Imports: bytes that are staged, and the start of the job that takes or fetches them."""

from typing import Annotated, Any

import falcon
import msgspec

from imagesvc import errors
from imagesvc.api import media, validate
from imagesvc.api.glance import image_file
from imagesvc.domain.image_import import ImportRequest, Method
from imagesvc.domain.remote_image import RemoteRequest

Word = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]


class MethodBody(msgspec.Struct):
    """How the bytes come; which fields count depends on the name."""

    name: Word
    uri: Annotated[str, msgspec.Meta(max_length=8192)] | None = None
    glance_image_id: Word | None = None
    glance_region: Word | None = None
    glance_service_interface: Word = "public"


class ImportBody(msgspec.Struct):
    """Body of an import."""

    method: MethodBody
    stores: Annotated[tuple[Word, ...], msgspec.Meta(max_length=100)] | None = None
    all_stores: bool = False
    all_stores_must_succeed: bool = True


class ImageStageResource:
    """The bytes of an image on their way to an import (Glance v2, "Image data")."""

    body_bytes_max = None
    moves_bytes = True

    def __init__(self, stages: Any, methods: tuple[Method, ...]) -> None:
        self._stages = stages
        self._enabled = Method.GLANCE_DIRECT in methods

    def on_put(self, req: falcon.Request, resp: falcon.Response, image_id: str) -> None:
        """Take the bytes, plain or chunked."""
        if not self._enabled:
            raise errors.NotFound("Bytes are not staged here.")
        image_file.require_octets(req)
        size = image_file.announced_size(req)
        self._stages.stage(req.context.caller, image_id, media.body(req), size)
        resp.status = falcon.HTTP_204


class ImageImportResource:
    """The start of an import (Glance v2, "Interoperable image import")."""

    def __init__(self, imports: Any) -> None:
        self._imports = imports

    def on_post(self, req: falcon.Request, resp: falcon.Response, image_id: str) -> None:
        """Hand the job in."""
        body = validate.body(req, ImportBody)
        request = ImportRequest(
            method=body.method.name,
            stores=_stores(req, body),
            all_stores=body.all_stores,
            all_must_succeed=body.all_stores_must_succeed,
            uri=body.method.uri,
            remote=_remote(req, body.method),
        )
        self._imports.start(req.context.caller, image_id, request)
        resp.status = falcon.HTTP_202
        # glanceclient decodes whatever calls itself JSON, and an empty body is none.
        resp.content_type = "text/html; charset=UTF-8"


class ImportInfoResource:
    """Which methods there are."""

    def __init__(self, methods: tuple[Method, ...]) -> None:
        self._methods = methods

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """List them."""
        resp.media = {
            "import-methods": {
                "description": "Import methods available.",
                "type": "array",
                "value": [str(method) for method in self._methods],
            }
        }


def _remote(req: falcon.Request, method: MethodBody) -> RemoteRequest | None:
    """The image of another region, with the token that opens it; None if it is not named whole."""
    if method.name != Method.GLANCE_DOWNLOAD:
        return None
    if method.glance_region is None or method.glance_image_id is None:
        return None
    return RemoteRequest(
        region=method.glance_region,
        image_id=method.glance_image_id,
        interface=method.glance_service_interface,
        token=req.get_header("X-Auth-Token") or "",
    )


def _stores(req: falcon.Request, body: ImportBody) -> tuple[str, ...]:
    """The stores that body or header name. openstacksdk names one in both."""
    named = tuple(dict.fromkeys(body.stores or ()))
    header = req.get_header("X-Image-Meta-Store")
    if body.all_stores and (body.stores is not None or header):
        raise errors.InvalidRequest("Give all_stores or name stores, not both.")
    if header and named and named != (header,):
        raise errors.InvalidRequest("X-Image-Meta-Store and stores do not name the same store.")
    return named or ((header,) if header else ())
